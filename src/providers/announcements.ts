import { createHash } from 'node:crypto';

/** What a verified webhook request says. One request may speak of several accounts and records. */
export interface Announcement {
  notices: Notice[];
  /** The provider checks the address: this is what it wants to read. Nothing is stored. */
  challenge?: string;
}

export type Notice = {
  /** Realm, team or customer at the provider; null where the address alone says whose it is. */
  account: string | null;
  /** The same at each retry, and of nothing else that the account is told: the key against doubles. */
  eventId: string;
  /** By the provider's clock; null where it gives none. */
  occurredAt: Date | null;
} & (
  | {
      kind: 'record';
      resource: string;
      externalId: string;
      change: 'UPSERTED' | 'DELETED';
    }
  /** The provider has ended the authorization of these of its users, or with null that of everybody. */
  | { kind: 'revoked'; users: readonly string[] | null }
  /** Changes are lost unless they are asked for: the provider has held some back. */
  | { kind: 'missed' }
);

/** A body that is not what the provider sends: answered 400, once it is verified. */
export class UnreadableWebhook extends Error {
  override readonly name = 'UnreadableWebhook';
}

/** For providers that name no event: the same body is the same event. */
export const bodyHash = (body: Buffer): string => createHash('sha256').update(body).digest('hex');

/** Throws `UnreadableWebhook`. */
export function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new UnreadableWebhook('The body is not JSON.');
  }
}

/** ISO 8601, also with more digits than milliseconds have. */
export function timeOf(value: unknown): Date | null {
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(value)) return null;
  const time = new Date(value.replace(/(\.\d{3})\d+/, '$1').replace(/([+-]\d\d)(\d\d)$/, '$1:$2'));
  return Number.isNaN(time.getTime()) ? null : time;
}
