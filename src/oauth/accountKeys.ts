import type { Kysely } from 'kysely';
import type { Clock } from '../clock.ts';
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
 */
export interface AccountKeys {
  /** Seals for one account, making its first key when it has none that opens. */
  sealer(db: Kysely<Tables>, accountId: string): Promise<(place: Place, plaintext: string) => Buffer>;
  /** Opens values of one account: one statement, whatever the number of values. Opening throws `UnsealError`. */
  opener(db: Kysely<Tables>, accountId: string): Promise<Open>;
}

export type Open = (place: Place, sealed: Buffer) => string;

export function createAccountKeys(master: MasterKeys, clock: Clock): AccountKeys {
  const rowsOf = async (db: Kysely<Tables>, accountId: string): Promise<SealedDataKey[]> => {
    const rows = await db
      .selectFrom('account_keys')
      .selectAll()
      .where('account_id', '=', accountId)
      .orderBy('created_at', 'desc')
      .execute();
    return rows.map((row) => ({
      accountId: row.account_id,
      id: row.id,
      masterKeyId: row.master_key_id,
      sealedKey: row.sealed_key,
    }));
  };

  const newestThatOpens = (rows: SealedDataKey[]): DataKey | undefined => {
    for (const row of rows) {
      try {
        return openDataKey(master, row);
      } catch (error) {
        if (!(error instanceof UnsealError)) throw error;
      }
    }
    return undefined;
  };

  const create = async (db: Kysely<Tables>, accountId: string): Promise<DataKey> => {
    const { row, key } = newDataKey(master, accountId, clock);
    await db
      .insertInto('account_keys')
      .values({
        account_id: row.accountId,
        id: row.id,
        master_key_id: row.masterKeyId,
        sealed_key: row.sealedKey,
        created_at: new Date(clock.now()),
      })
      .execute();
    return key;
  };

  return {
    async sealer(db, accountId) {
      const key = newestThatOpens(await rowsOf(db, accountId)) ?? (await create(db, accountId));
      return (place, plaintext) => seal(key, place, plaintext, clock);
    },
    async opener(db, accountId) {
      const rows = new Map((await rowsOf(db, accountId)).map((row) => [row.id, row]));
      const keys = new Map<string, DataKey>();
      return (place, sealed) => {
        const id = sealedWith(sealed);
        const row = rows.get(id);
        if (!row) throw new UnsealError('KEY_UNAVAILABLE', `data key ${id} of the account is gone`);
        const key = keys.get(id) ?? openDataKey(master, row);
        keys.set(id, key);
        return open(key, place, sealed);
      };
    },
  };
}
