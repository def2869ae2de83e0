import DataLoader from 'dataloader';
import { sql, type Kysely, type Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Tables } from '../db/tables.ts';
import { isUuid } from './connection.ts';
import { lockConnection } from './states.ts';
import { sealedPlace, type AccountKeys, type ConnectionRef } from '../oauth/accountKeys.ts';

/**
 * The secrets that sign one connection's webhooks, where each customer has their own: sealed like tokens. Several are
 * accepted while the provider is being told of a new one.
 */
export interface WebhookSecrets {
  /** The ones before stay accepted for a day. Setting the present one again changes nothing. */
  set(trx: Transaction<Tables>, ref: ConnectionRef, secret: string): Promise<void>;
  erase(trx: Transaction<Tables>, ref: ConnectionRef): Promise<void>;
  /**
   * Whose webhook address it is, and what is accepted there now; undefined for none of the integration's. One statement
   * for all that are asked for at the same time.
   */
  find(integrationId: string, connectionId: string | undefined): Promise<Recipient | undefined>;
}

export interface Recipient {
  accountId: string;
  connectionId: string;
  generation: number;
  secrets: string[];
}

/** A blank one would let anybody sign: an HMAC takes an empty key without a word. */
export const isSecret = (secret: string): boolean => secret.trim().length >= 8 && secret.length <= 1_000;
export const secretForm = 'has 8 to 1,000 characters and is not blank.';

const place = (ref: ConnectionRef) => sealedPlace(ref, 'webhook_secrets', 'secret_encrypted');

const overlapMs = 24 * 60 * 60_000;

export function createWebhookSecrets(deps: {
  /** Past all walls: an address names a connection and no account. */
  db: Kysely<Tables>;
  keys: AccountKeys;
  clock: Clock;
}): WebhookSecrets {
  const { db, keys, clock } = deps;
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

  const recipients = new DataLoader<string, (Recipient & { integrationId: string }) | undefined>(
    async (ids) => {
      const now = new Date(clock.now());
      const { rows } = await sql<AddressRow>`
        select c.account_id, c.id as connection_id, c.integration_id, c.generation, s.id as secret_id,
          s.secret_encrypted, k.id as key_id, k.master_key_id, k.sealed_key
        from connections c
        join webhook_secrets s on s.account_id = c.account_id and s.connection_id = c.id
          and coalesce(s.accepted_until, 'infinity') > ${now}
        join account_keys k on k.account_id = c.account_id
        where c.id = any(${ids}::uuid[]) and c.status <> 'DISCONNECTED'
        order by s.created_at desc, k.created_at desc, k.id`.execute(db);
      const byId = Map.groupBy(rows, (row) => row.connection_id);
      return ids.map((id) => {
        const own = byId.get(id);
        try {
          return own && recipientOf(own, keys);
        } catch (error) {
          // One that cannot be opened is nobody else's trouble.
          return error as Error;
        }
      });
    },
    { cache: false, maxBatchSize: 100 },
  );

  return {
    async set(trx, ref, secret) {
      // One after the other: of two at once, neither would see the other's, and both would stay for good.
      const connection = await lockConnection(trx, ref.accountId, ref.id);
      if (!connection || connection.status === 'DISCONNECTED') return;
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
    find: async (integrationId, connectionId) => {
      const found =
        connectionId !== undefined && isUuid(connectionId)
          ? await recipients.load(connectionId.toLowerCase())
          : undefined;
      return found?.integrationId === integrationId ? found : undefined;
    },
  };
}

/** Each secret with each of its account's keys. */
interface AddressRow {
  account_id: string;
  connection_id: string;
  integration_id: string;
  generation: number;
  secret_id: string;
  secret_encrypted: Buffer;
  key_id: string;
  master_key_id: string;
  sealed_key: Buffer;
}

function recipientOf(rows: readonly AddressRow[], keys: AccountKeys): Recipient & { integrationId: string } {
  const { account_id: accountId, connection_id: connectionId, integration_id: integrationId } = rows[0]!;
  const ref = { accountId, id: connectionId, integrationId };
  const sealedKeys = new Map(
    rows.map((row) => [
      row.key_id,
      { accountId, id: row.key_id, masterKeyId: row.master_key_id, sealedKey: row.sealed_key },
    ]),
  );
  const open = keys.openerOf([...sealedKeys.values()]);
  const sealed = new Map(rows.map((row) => [row.secret_id, row.secret_encrypted]));
  const secrets = [...sealed.values()].map((one) => open(place(ref), one));
  return { accountId, connectionId, integrationId, generation: rows[0]!.generation, secrets };
}
