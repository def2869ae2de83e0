import { sql, type Kysely } from 'kysely';
import type { Clock } from '../clock.ts';
import { statement, type Value } from '../db/statements.ts';
import type { Tables } from '../db/tables.ts';
import {
  newDataKey,
  open,
  openDataKey,
  seal,
  sealedWith,
  UnsealError,
  type DataKey,
  type MasterKeys,
  type Place,
  type SealedDataKey,
} from './encryption.ts';

/** Names one connection for everything below `connections/`. */
export interface ConnectionRef {
  accountId: string;
  id: string;
  integrationId: string;
}

/** What a sealed column's value is bound to: it opens nowhere else. */
export function sealedPlace(ref: ConnectionRef, table: string, column: string): Place {
  return {
    accountId: ref.accountId,
    integrationId: ref.integrationId,
    connectionId: ref.id,
    column: `${table}.${column}`,
  };
}

/**
 * The data keys of accounts, kept sealed in `account_keys`. A value names the key that sealed it; the newest key
 * that opens seals. Plain keys live only as long as the object that a call holds.
 *
 * Keys come and go while services run (`dataKeyRotation.ts`). So read a value first and its account's keys after it:
 * whatever key it names is then among them. And write soon what was sealed or read: an old key is kept for a while.
 */
export interface AccountKeys {
  /** Seals for one account, making its first key when it has none that opens. */
  sealer(db: Kysely<Tables>, accountId: string): Promise<(place: Place, plaintext: string) => Buffer>;
  /** Opens values of one account: one statement, whatever the number of values. Opening throws `UnsealError`. */
  opener(db: Kysely<Tables>, accountId: string): Promise<Open>;
  /** The same with keys that were read, all of one account. */
  openerOf(rows: readonly SealedDataKey[]): Open;
}

export type Open = (place: Place, sealed: Buffer) => string;

export function createAccountKeys(master: MasterKeys, clock: Clock): AccountKeys {
  const create = async (db: Kysely<Tables>, accountId: string): Promise<DataKey> => {
    const { row, key } = newDataKey(master, accountId, clock);
    await insertDataKeys(db, [{ ...row, createdAt: new Date(clock.now()) }]);
    return key;
  };

  return {
    async sealer(db, accountId) {
      const key = newestThatOpens(master, await dataKeysOf(db, [accountId])) ?? (await create(db, accountId));
      return (place, plaintext) => seal(key, place, plaintext, clock);
    },
    opener: async (db, accountId) => openerOf(master, await dataKeysOf(db, [accountId])),
    openerOf: (rows) => openerOf(master, rows),
  };
}

/** One row of `account_keys`. */
export interface StoredDataKey extends SealedDataKey {
  createdAt: Date;
}

const keysOf = statement((db, value: Value<{ accountIds: readonly string[] }>) =>
  db
    .selectFrom('account_keys')
    .selectAll()
    .where('account_id', '=', sql<string>`any(${value('accountIds')}::text[])`)
    .orderBy('created_at', 'desc')
    .orderBy('id'),
);

/** The keys of each account from the newest on. */
export async function dataKeysOf(
  db: Kysely<Tables>,
  accountIds: readonly string[],
): Promise<StoredDataKey[]> {
  const rows = await keysOf(db, { accountIds });
  return rows.map((row) => ({
    accountId: row.account_id,
    id: row.id,
    masterKeyId: row.master_key_id,
    sealedKey: row.sealed_key,
    createdAt: row.created_at,
  }));
}

export async function insertDataKeys(db: Kysely<Tables>, keys: readonly StoredDataKey[]): Promise<void> {
  await db
    .insertInto('account_keys')
    .values(
      keys.map((key) => ({
        account_id: key.accountId,
        id: key.id,
        master_key_id: key.masterKeyId,
        sealed_key: key.sealedKey,
        created_at: key.createdAt,
      })),
    )
    .execute();
}

/** The one that seals. @param rows of one account, the newest first */
export function newestThatOpens(master: MasterKeys, rows: readonly SealedDataKey[]): DataKey | undefined {
  for (const row of rows) {
    try {
      return openDataKey(master, row);
    } catch (error) {
      if (!(error instanceof UnsealError)) throw error;
    }
  }
  return undefined;
}

/** Opens with the keys of one account. Each is opened at most once. */
export function openerOf(master: MasterKeys, rows: readonly SealedDataKey[]): Open {
  const byId = new Map(rows.map((row) => [row.id, row]));
  const keys = new Map<string, DataKey>();
  return (place, sealed) => {
    const id = sealedWith(sealed);
    const row = byId.get(id);
    if (!row) throw new UnsealError('KEY_UNAVAILABLE', `data key ${id} of the account is gone`);
    const key = keys.get(id) ?? openDataKey(master, row);
    keys.set(id, key);
    return open(key, place, sealed);
  };
}
