import { sql, type Kysely, type Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Tables } from '../db/tables.ts';
import { sealedPlace, type AccountKeys, type ConnectionRef } from '../oauth/accountKeys.ts';

/**
 * The secrets that sign one connection's webhooks, where each customer has their own: sealed like tokens. Several are
 * accepted while the provider is being told of a new one.
 */
export interface WebhookSecrets {
  /** The ones before stay accepted for a day. Setting the present one again changes nothing. */
  set(trx: Transaction<Tables>, ref: ConnectionRef, secret: string): Promise<void>;
  erase(trx: Transaction<Tables>, ref: ConnectionRef): Promise<void>;
  /** Those that are accepted now, the newest first. */
  list(ref: ConnectionRef): Promise<string[]>;
}

/** A blank one would let anybody sign: an HMAC takes an empty key without a word. */
export const isSecret = (secret: string): boolean => secret.trim().length >= 8 && secret.length <= 1_000;
export const secretForm = 'has 8 to 1,000 characters and is not blank.';

const overlapMs = 24 * 60 * 60_000;

export function createWebhookSecrets(deps: {
  forAccount: (accountId: string) => Kysely<Tables>;
  keys: AccountKeys;
  clock: Clock;
}): WebhookSecrets {
  const { forAccount, keys, clock } = deps;
  const place = (ref: ConnectionRef) => sealedPlace(ref, 'webhook_secrets', 'secret_encrypted');

  const accepted = async (db: Kysely<Tables>, ref: ConnectionRef) => {
    const rows = await db
      .selectFrom('webhook_secrets')
      .select(['id', 'secret_encrypted', 'accepted_until'])
      .where('account_id', '=', ref.accountId)
      .where('connection_id', '=', ref.id)
      .where(sql<boolean>`coalesce(accepted_until, 'infinity') > ${new Date(clock.now())}`)
      .orderBy('created_at', 'desc')
      .execute();
    const open = await keys.opener(db, ref.accountId);
    return rows.map((row) => ({ ...row, secret: open(place(ref), row.secret_encrypted) }));
  };

  return {
    async set(trx, ref, secret) {
      const present = (await accepted(trx, ref)).find((one) => one.accepted_until === null);
      if (present?.secret === secret) return;
      const of = <T extends { where(column: 'account_id' | 'connection_id', op: '=', value: string): T }>(
        query: T,
      ) => query.where('account_id', '=', ref.accountId).where('connection_id', '=', ref.id);
      const now = new Date(clock.now());
      await of(trx.deleteFrom('webhook_secrets')).where('accepted_until', '<', now).execute();
      await of(
        trx.updateTable('webhook_secrets').set({ accepted_until: new Date(now.getTime() + overlapMs) }),
      )
        .where('accepted_until', 'is', null)
        .execute();
      const seal = await keys.sealer(trx, ref.accountId);
      await trx
        .insertInto('webhook_secrets')
        .values({
          account_id: ref.accountId,
          connection_id: ref.id,
          id: clock.randomUUID(),
          secret_encrypted: seal(place(ref), secret),
          accepted_until: null,
          created_at: now,
        })
        .execute();
    },
    async erase(trx, ref) {
      await trx
        .deleteFrom('webhook_secrets')
        .where('account_id', '=', ref.accountId)
        .where('connection_id', '=', ref.id)
        .execute();
    },
    list: async (ref) => (await accepted(forAccount(ref.accountId), ref)).map(({ secret }) => secret),
  };
}
