// Made of docs/adding-a-provider.md by test/providers/addingAProvider.test.ts -u.
import type { Fault, HttpResponse } from '../../../src/calls/http.ts';
import {
  jsonOf,
  timeOf,
  UnreadableWebhook,
  type Announcement,
  type Notice,
} from '../../../src/providers/announcements.ts';
import type { Change, ChangeReads, Position } from '../../../src/providers/changes.ts';
import {
  asObject,
  detailsIn,
  faultOf,
  jsonIn,
  textOf,
  verdictOf,
  type Verdict,
} from '../../../src/providers/httpFaults.ts';
import type {
  OAuthFacts,
  Provider,
  ProviderRequest,
  RateLimit,
  RecordSnapshot,
  Target,
} from '../../../src/providers/provider.ts';
import type { SignatureScheme } from '../../../src/providers/signatures.ts';

const oauth: OAuthFacts = {
  grant: 'authorization_code',
  scopes: ['shipments:read', 'warehouses:read', 'offline'],
  scopeSeparator: ' ',
  // Asked for, or there is no refresh token; never named in the answer.
  unansweredScopes: ['offline'],
  pkce: 'S256',
  clientAuthentication: 'basic',
  authorizeParams: {},
  tokenHeaders: {},
  externalIdFields: ['merchant.id'],
  refreshExpiresInField: 'refresh_expires_in',
  requestIdHeaders: ['parcelwise-trace'],
  reauthorizationErrors: ['invalid_grant', 'grant_revoked'],
  // "Using a refresh token twice ends the authorization."
  replay: 'strict',
  revocation: 'rfc7009',
  revokes: 'authorization',
};

const resources = ['Shipment', 'Warehouse', 'Pickup'] as const;
const paths: Readonly<Record<string, string>> = {
  Shipment: 'shipments',
  Warehouse: 'warehouses',
  Pickup: 'pickups',
};

const limits: readonly RateLimit[] = [
  { name: 'second', limit: 20, windowMs: 1_000 },
  { name: 'lists', limit: 120, windowMs: 60_000, operations: ['list'] },
  // "500 requests a second and application."
  { name: 'application', limit: 500, windowMs: 1_000, per: [] },
];

const dialect = { name: 'Parcelwise', requestIdHeaders: ['parcelwise-trace'] };

const kinds: ReadonlyMap<string, Verdict> = new Map([
  ['token_expired', { code: 'UNAUTHENTICATED' }],
  ['grant_revoked', { code: 'REAUTHORIZATION_REQUIRED' }],
  ['missing_scope', { code: 'SCOPES_INSUFFICIENT' }],
  ['plan_required', { code: 'FORBIDDEN' }],
  ['not_found', { code: 'NOT_FOUND' }],
  ['too_many_requests', { code: 'RATE_LIMITED' }],
  // Tells a reader of pages, by `providerCode`, to start anew.
  ['cursor_expired', { code: 'BAD_REQUEST' }],
]);

/** `{ "error": { "kind", "text", "fields": [{ "field", "text" }] } }` */
function classify(response: HttpResponse): Fault | undefined {
  const { status, body } = response;
  const answer = asObject(jsonIn(body));
  const error = asObject(answer?.error);
  if (status >= 200 && status < 300 && answer && !error) return undefined;
  const known = kinds.get(textOf(error?.kind) ?? '');
  const verdict = status < 500 && known ? known : verdictOf(status);
  const fields = Array.isArray(error?.fields) ? error.fields.map(asObject) : [];
  return faultOf(dialect, response, {
    ...verdict,
    providerCode: error?.kind,
    details: error
      ? [error, ...fields].map((one) => ({ message: one?.text, element: one?.field }))
      : detailsIn(body),
  });
}

const get = (target: Target, path: string, search: Record<string, string> = {}): ProviderRequest => {
  const query = new URLSearchParams(search).toString();
  return {
    method: 'GET',
    url: `${target.apiUrl}/${path}${query === '' ? '' : `?${query}`}`,
    headers: { accept: 'application/json' },
  };
};

const identity: NonNullable<Provider['identity']> = {
  request: (target) => get(target, 'merchant'),
  parse(response) {
    const merchant = asObject(jsonIn(response.body));
    return {
      id: textOf(merchant?.id) ?? '',
      name: textOf(merchant?.name) ?? null,
      url: textOf(merchant?.dashboard_url) ?? null,
    };
  },
};

const records: Provider['records'] = {
  batchSize: 50,
  // Pickups are read one by one: their list takes no ids.
  batchSizes: { Pickup: 1 },
  idPattern: /^(?:shp|whs|pku)_[a-z0-9]{6,24}$/,
  request(target, resource, ids) {
    const path = paths[resource]!;
    return ids.length === 1
      ? get(target, `${path}/${ids[0]}`)
      : { ...get(target, path, { ids: ids.join(',') }), operation: 'list' };
  },
  parse(response) {
    const found = itemsIn(response).map(snapshotOf);
    return new Map(found.flatMap((one) => (one ? [[one.externalId, one] as const] : [])));
  },
};

/** A list has `items`; a plain read answers the object itself. */
function itemsIn(response: HttpResponse): unknown[] {
  const body = asObject(jsonIn(response.body));
  return Array.isArray(body?.items) ? (body.items as unknown[]) : [body];
}

function snapshotOf(value: unknown): RecordSnapshot | undefined {
  const payload = asObject(value);
  const externalId = textOf(payload?.id);
  if (!payload || externalId === undefined) return undefined;
  return { externalId, payload, updatedAt: timeOf(payload.updated_at) };
}

const changes = (resource: string): ChangeReads => ({
  begin: (since) => ({ since: since?.toISOString() ?? null, cursor: null }),

  request(target, { since, cursor }) {
    const path = hasChanges(resource) ? `${paths[resource]}/changes` : paths[resource]!;
    const search = {
      limit: '200',
      ...(hasChanges(resource) && typeof since === 'string' && { since }),
      ...(typeof cursor === 'string' && { cursor }),
    };
    return { ...get(target, path, search), operation: 'list' };
  },

  parse(response, position) {
    const body = asObject(jsonIn(response.body));
    const cursor = textOf(body?.next_cursor);
    const next: Position | undefined = cursor === undefined ? undefined : { ...position, cursor };
    const found = itemsIn(response).map(changeOf);
    return {
      changes: found.filter((one) => one !== undefined),
      next,
      at: timeOf(body?.as_of),
      isWhole: !hasChanges(resource) || position.since === null,
    };
  },

  // "Changes may take up to thirty seconds to be listed."
  overlapMs: hasChanges(resource) ? 60_000 : 0,
  lostPosition: 'cursor_expired',
});

const hasChanges = (resource: string) => resource === 'Shipment';

function changeOf(value: unknown): Change | undefined {
  const item = asObject(value);
  const snapshot = snapshotOf(item);
  if (!snapshot) return undefined;
  const { externalId } = snapshot;
  return item?.deleted === true
    ? { kind: 'DELETED', externalId, deletedAt: timeOf(item.deleted_at) }
    : { kind: 'UPSERTED', externalId, snapshot };
}

const listed = ['Shipment', 'Warehouse'];

const scheme: SignatureScheme = {
  header: 'parcelwise-signature',
  form: 'pairs',
  label: 'v1',
  algorithm: 'sha256',
  encoding: 'hex',
  secretEncoding: 'utf8',
  signed: '{timestamp}.{body}',
  timestamp: { pair: 't' },
  toleranceSeconds: 300,
};

/** `{ "merchant_id", "events": [{ "id", "type": "shipment.updated", "object_id", "at" }] }` */
function parse(body: Buffer): Announcement {
  const delivery = asObject(jsonOf(body));
  const account = textOf(delivery?.merchant_id);
  const events = delivery?.events;
  if (account === undefined || !Array.isArray(events))
    throw new UnreadableWebhook('The delivery names no merchant or has no events.');
  return { notices: events.flatMap((event) => noticesOf(asObject(event), account)) };
}

function noticesOf(event: Record<string, unknown> | undefined, account: string): Notice[] {
  const eventId = textOf(event?.id);
  const [, kind = '', verb = ''] = /^(\w+)\.(\w+)$/.exec(textOf(event?.type) ?? '') ?? [];
  if (!event || eventId === undefined) throw new UnreadableWebhook('An event has no id.');
  const told = { account, eventId, occurredAt: timeOf(event.at) };
  if (kind === 'authorization' && verb === 'ended') return [{ ...told, kind: 'revoked', users: null }];
  // Parcelwise held events back; only a poll finds what they were.
  if (kind === 'events' && verb === 'dropped') return [{ ...told, kind: 'missed' }];
  const resource = eventKinds.get(kind);
  const externalId = textOf(event.object_id);
  if (resource === undefined || externalId === undefined) return [];
  return [
    { ...told, kind: 'record', resource, externalId, change: verb === 'deleted' ? 'DELETED' : 'UPSERTED' },
  ];
}

const eventKinds: ReadonlyMap<string, string> = new Map([
  ['shipment', 'Shipment'],
  ['pickup', 'Pickup'],
]);

const announced = ['Shipment', 'Pickup'];

const masked = {
  Shipment: ['email', 'phone', 'tax_id'],
  Pickup: ['phone', 'gate_code'],
} as const;

/** Parcelwise: parcel shipping. Facts from its developer pages, version 2 of the API. */
export const parcelwise: Provider = {
  id: 'parcelwise',
  name: 'Parcelwise',
  auth: 'OAUTH2',
  endpoints: {
    authorizeUrl: 'https://login.parcelwise.example/oauth/authorize',
    tokenUrl: 'https://login.parcelwise.example/oauth/token',
    revokeUrl: 'https://login.parcelwise.example/oauth/revoke',
    apiUrl: 'https://api.parcelwise.example/v2',
  },
  oauth,
  resources,
  limits,
  classify,
  identity,
  records,
  changes,
  listed,
  webhook: { scheme, secretOf: 'application', parse },
  announced,
  masked,
};
