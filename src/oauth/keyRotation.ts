import { sql, type Kysely, type Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Tables } from '../db/tables.ts';
import { resealDataKey, UnsealError, type MasterKeys, type SealedDataKey } from './encryption.ts';

/**
 * Rotation of the master key: each row of `account_keys` is sealed anew by the first key of ENCRYPTION_KEYS. The data
 * keys stay what they are, so that no sealed value changes. Services go on meanwhile, with the old and the new master
 * key. Whatever is killed, a second run goes on where the first one was: a row says which master key seals it.
 */
export interface MasterKeyRotation {
  resealed: number;
  /** Rows that no longer open by the key that they name. At most so many are told apart from each other. */
  corrupt: { count: number; examples: string[] };
  /** Data keys by master key, as they are now. */
  rows: Map<string, number>;
}

const pageSize = 300;
/** Processes that still seal with an old key make new rows of it: to go on for ever would not help. */
const mostPasses = 5;
export const mostExamples = 5;
/** PostgreSQL's advisory lock of whoever changes several rows of `account_keys`: none of them waits for another's row. */
const lockId = 7_205_759_403_792_795n;

/** Taken first in a transaction that changes or deletes rows of `account_keys`. Ends with it. */
export async function lockDataKeys(trx: Transaction<Tables>): Promise<void> {
  await sql`select pg_advisory_xact_lock(${sql.lit(lockId)})`.execute(trx);
}

/** How many data keys each master key seals. */
export async function countByMasterKey(db: Kysely<Tables>): Promise<Map<string, number>> {
  const rows = await db
    .selectFrom('account_keys')
    .select(['master_key_id', (eb) => eb.fn.countAll<number>().as('count')])
    .groupBy('master_key_id')
    .orderBy('master_key_id')
    .execute();
  return new Map(rows.map((row) => [row.master_key_id, row.count]));
}

/** The master keys that data keys need and ENCRYPTION_KEYS does not have, with how many need each. For the start. */
export async function findMissingMasterKeys(
  db: Kysely<Tables>,
  master: MasterKeys,
): Promise<Map<string, number>> {
  return missingOf(await countByMasterKey(db), master);
}

export function missingOf(rows: ReadonlyMap<string, number>, master: MasterKeys): Map<string, number> {
  return new Map([...rows].filter(([id]) => !master.byId.has(id)));
}

/** @param onProgress after each batch, once it is committed */
export async function rotateMasterKey(
  { db, master, clock }: { db: Kysely<Tables>; master: MasterKeys; clock: Clock },
  onProgress: (resealed: number) => void | Promise<void>,
): Promise<MasterKeyRotation> {
  const old = [...master.byId.keys()].filter((id) => id !== master.sealing.id);
  const corrupt: MasterKeyRotation['corrupt'] = { count: 0, examples: [] };
  let resealed = 0;

  /** Answers how many rows it moved. */
  const pass = async (): Promise<number> => {
    let moved = 0;
    Object.assign(corrupt, { count: 0, examples: [] });
    for (let after: SealedDataKey | undefined; ;) {
      const rows = await readKeys(db, old, after);
      after = rows.at(-1);
      if (!after) return moved;
      const changes = rows.flatMap((row) => {
        try {
          return [{ row, anew: resealDataKey(master, row, clock) }];
        } catch (error) {
          if (!(error instanceof UnsealError)) throw error;
          corrupt.count += 1;
          if (corrupt.examples.length < mostExamples) corrupt.examples.push(error.message);
          return [];
        }
      });
      const written = changes.length > 0 ? await writeKeys(db, changes) : 0;
      moved += written;
      resealed += written;
      if (written > 0) await onProgress(resealed);
    }
  };

  if (old.length > 0) for (let passes = 0; passes < mostPasses && (await pass()) > 0;) passes += 1;
  return { resealed, corrupt, rows: await countByMasterKey(db) };
}

async function readKeys(
  db: Kysely<Tables>,
  masterKeyIds: string[],
  after: SealedDataKey | undefined,
): Promise<SealedDataKey[]> {
  const rows = await db
    .selectFrom('account_keys')
    .select(['account_id as accountId', 'id', 'master_key_id as masterKeyId', 'sealed_key as sealedKey'])
    .where('master_key_id', 'in', masterKeyIds)
    .$if(after !== undefined, (query) =>
      query.where(sql<boolean>`(account_id, id) > (${after!.accountId}, ${after!.id})`),
    )
    .orderBy('account_id')
    .orderBy('id')
    .limit(pageSize)
    .execute();
  return rows;
}

/** Only what still is as it was read: whoever was faster has done it. */
function writeKeys(
  db: Kysely<Tables>,
  changes: readonly { row: SealedDataKey; anew: SealedDataKey }[],
): Promise<number> {
  return db.transaction().execute(async (trx) => {
    await lockDataKeys(trx);
    const values = changes.map(
      ({ row, anew }) =>
        sql`(${row.accountId}, ${row.id}::uuid, ${row.sealedKey}::bytea, ${anew.masterKeyId}, ${anew.sealedKey}::bytea)`,
    );
    const { rows } = await sql`
      update account_keys k set master_key_id = v.master_key_id, sealed_key = v.sealed_key
      from (values ${sql.join(values)}) as v (account_id, id, old_sealed_key, master_key_id, sealed_key)
      where k.account_id = v.account_id and k.id = v.id and k.sealed_key = v.old_sealed_key
      returning 1`.execute(trx);
    return rows.length;
  });
}
