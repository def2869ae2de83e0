import { createHmac } from 'node:crypto';
import type { SignatureQuality } from '../webhookSender.ts';
import type { Operation } from './company.ts';

/** What QuickBooks tells of one change. It is thin: the record itself has to be read. */
export interface WebhookEvent {
  /** Of the CloudEvent: a UUID, or a longer text. */
  eventId: string;
  realmId: string;
  /** As the API spells it: `PurchaseOrder`. */
  entity: string;
  id: string;
  operation: Operation;
  /** Of a merge: the record that is no more. */
  deletedId: string | null;
  /** Milliseconds since 1970, by the provider's clock. */
  at: number;
}

/** The body that subscriptions had until 2026: one entry for each company. */
export function legacyBody(events: readonly WebhookEvent[]): object {
  return {
    eventNotifications: [...Map.groupBy(events, ({ realmId }) => realmId)].map(([realmId, own]) => ({
      realmId,
      dataChangeEvent: {
        entities: own.map(({ entity, id, operation, deletedId, at }) => ({
          name: entity,
          id,
          operation,
          lastUpdated: new Date(at).toISOString(),
          ...(deletedId !== null && { deletedId }),
        })),
      },
    })),
  };
}

const pastTense: Readonly<Record<Operation, string>> = {
  Create: 'created',
  Update: 'updated',
  Delete: 'deleted',
  Void: 'voided',
  Merge: 'merged',
  Emailed: 'emailed',
};
/** Of events: how many have no `data`, and how many a time with nanoseconds. */
const bareShare = 0.2;
const nanosecondShare = 0.2;

/** An array of CloudEvents 1.0, Intuit's body since 2026. `random` decides which come with what is optional. */
export function cloudEventsBody(events: readonly WebhookEvent[], random: () => number): object[] {
  return events.map(({ eventId, realmId, entity, id, operation, deletedId, at }) => {
    const time = new Date(at).toISOString();
    const nanoseconds = String(Math.floor(random() * 1e6)).padStart(6, '0');
    const hasNanoseconds = random() < nanosecondShare;
    const isBare = random() < bareShare && deletedId === null;
    return {
      specversion: '1.0',
      id: eventId,
      source: 'intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=',
      type: `qbo.${entity.toLowerCase()}.${pastTense[operation]}.v1`,
      ...(!isBare && { datacontenttype: 'application/json' }),
      time: hasNanoseconds ? time.replace('Z', `${nanoseconds}Z`) : time,
      intuitentityid: id,
      intuitaccountid: realmId,
      ...(!isBare && { data: deletedId === null ? {} : { deletedid: deletedId } }),
    };
  });
}

/** `intuit-signature`: base64 of HMAC-SHA256 over the body's bytes. No header where it is to be missing. */
export function signatureHeaders(
  body: string,
  verifierToken: string,
  quality: SignatureQuality,
): Record<string, string> {
  if (quality === 'missing') return {};
  const key = quality === 'wrong-secret' ? `not ${verifierToken}` : verifierToken;
  const digest = createHmac('sha256', key).update(body).digest('base64');
  return { 'intuit-signature': quality === 'truncated' ? digest.slice(0, 20) : digest };
}
