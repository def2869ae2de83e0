import { asObject, jsonIn } from './httpFaults.ts';
import { classifyMyCarrierPackets } from './myCarrierPacketsFaults.ts';
import { dotNumberIn, read } from './myCarrierPacketsRequests.ts';
import { myCarrierPacketsScheme } from './signatures.ts';
import { myCarrierPacketsChanges } from './myCarrierPacketsChanges.ts';
import { parseMyCarrierPacketsWebhook } from './myCarrierPacketsWebhooks.ts';
import type { Provider, RecordSnapshot } from './provider.ts';

/** Bank accounts and tax numbers of carriers, wherever an answer repeats them. */
const personal = [
  'BankRoutingNumber',
  'BankAccountNumber',
  'BankAccountName',
  'CarrierBankRoutingNumber',
  'CarrierBankAccountNumber',
  'CarrierBankAccountName',
  'ListAccountNumber',
  'SSN',
  'EIN',
  'TIN',
] as const;

/**
 * MyCarrierPackets (Descartes MyCarrierPortal): carrier onboarding. Facts from the vendor's Swagger document, its
 * guides and a public client as of November 2026; no limits are published.
 */
export const myCarrierPackets: Provider = {
  id: 'mycarrierpackets',
  name: 'MyCarrierPackets',
  auth: 'CREDENTIALS',
  endpoints: {
    authorizeUrl: '',
    tokenUrl: 'https://api.mycarrierpackets.com/token',
    revokeUrl: '',
    apiUrl: 'https://api.mycarrierpackets.com',
  },
  endpointsAt: (apiUrl) => ({ tokenUrl: `${apiUrl}/token` }),
  oauth: {
    // An integration user's name and password: there is no other way in, and no client id.
    grant: 'password',
    scopes: [],
    scopeSeparator: ' ',
    pkce: 'off',
    clientAuthentication: 'none',
    authorizeParams: {},
    tokenHeaders: {},
    externalIdFields: ['userName'],
    reauthorizationErrors: ['invalid_grant'],
    // A used refresh token seems to be dead at once; the stored user name and password then help.
    replay: 'strict',
    revocation: 'none',
    revokes: 'authorization',
  },
  resources: ['Carrier', 'CompletedPacket', 'CarrierChange'],
  limits: [
    { name: 'second', limit: 10, windowMs: 1_000 },
    // The vendor's guide: not more often than every four minutes.
    { name: 'changes', limit: 1, windowMs: 240_000, operations: ['CarriersChanges'] },
  ],
  classify: classifyMyCarrierPackets,
  records: {
    only: ['Carrier'],
    batchSize: 1,
    idPattern: /^\d{1,12}$/,
    request: (target, _resource, [dotNumber]) => read(target, 'GetCarrierData', { DOTNumber: dotNumber! }),
    parse(response, _resource, [dotNumber]) {
      const carrier = asObject(jsonIn(response.body));
      const snapshot = carrier && snapshotOf(carrier, dotNumber!);
      return new Map(snapshot ? [[snapshot.externalId, snapshot]] : []);
    },
  },
  changes: myCarrierPacketsChanges,
  webhook: { scheme: myCarrierPacketsScheme, secretOf: 'connection', parse: parseMyCarrierPacketsWebhook },
  // Of a carrier they tell of packets, incidents and verifications, and not of what its authority or insurer changes.
  announced: ['CompletedPacket'],
  masked: { Carrier: personal, CarrierChange: personal, CompletedPacket: personal },
};

function snapshotOf(payload: Record<string, unknown>, dotNumber: string): RecordSnapshot | undefined {
  if (dotNumberIn(payload) !== dotNumber) return undefined;
  return { externalId: dotNumber, payload, updatedAt: timeIn(payload.ModifiedDateTime) };
}

/** `2026-01-31T10:00:00`, without a zone: taken for UTC, as a field of another answer is named. */
function timeIn(value: unknown): Date | null {
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(value)) return null;
  const time = new Date(/(?:Z|[+-]\d\d:\d\d)$/.test(value) ? value : `${value}Z`);
  return Number.isNaN(time.getTime()) ? null : time;
}
