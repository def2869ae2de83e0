import { sql, type Kysely } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Tables } from '../db/tables.ts';
import {
  dataKeysOf,
  insertDataKeys,
  newestThatOpens,
  openerOf,
  type Open,
  type StoredDataKey,
} from './accountKeys.ts';
import { newDataKey, seal, sealedWith, UnsealError, type DataKey, type MasterKeys } from './encryption.ts';
import { lockDataKeys, mostExamples } from './keyRotation.ts';
import {
  isNamedByNone,
  readSealedRows,
  replaceSealed,
  sealedTables,
  type SealedRow,
  type SealedTable,
} from './sealedValues.ts';

/**
 * Rotation of data keys, in three steps that can each be killed and run again: the account gets a new key, which seals
 * from then on; each of its values is sealed anew by it; the old key is deleted.
 *
 * The last step is a later run's. A service that read the keys before the new one was there seals with the old one
 * afterwards, and a refresh writes back the sealed refresh token that it read at its beginning. So an old key goes only
 * `graceMs` after the new one came, and only when no value named it at the beginning of the run: who has just read a
 * value still finds its key.
 */
export interface DataKeyRotation {
  /** Accounts that got a new key. */
  renewed: number;
  /** Accounts that were given one within the last `graceMs`, by a run before this one. */
  young: number;
  /** Values sealed anew. */
  resealed: number;
  /** Values that stay as they are because they do not open. */
  unopened: { count: number; examples: string[] };
  /** Values that moved whenever we looked. */
  busy: number;
}

export interface DataKeyDeps {
  db: Kysely<Tables>;
  master: MasterKeys;
  clock: Clock;
  graceMs: number;
}

const pageSize = 300;
/** As many as a small pool of clients has. */
const concurrency = 4;
const mostSweeps = 5;
const leastGraceMs = 15 * 60_000;

/**
 * How long an old data key is kept: longer than a refresh can be under way that read it at its beginning. Its requests
 * are allowed three times REQUEST_TIMEOUT_MS each and are at most four, and its answer is kept for five minutes while
 * the database is away.
 */
export const graceMsOf = (requestTimeoutMs: number): number =>
  Math.max(leastGraceMs, 12 * requestTimeoutMs + 5 * 60_000);

/**
 * Deletes the keys that were replaced more than `graceMs` ago and that no value names. Answers how many there were.
 * @param accountId of this one; default: of all
 */
export async function deleteOldDataKeys(
  { db, master, clock, graceMs }: DataKeyDeps,
  accountId: string | undefined,
): Promise<number> {
  const own = accountId === undefined ? sql`true` : sql`k.account_id = ${accountId}`;
  const replaced = sql<boolean>`exists (
    select from account_keys n where n.account_id = k.account_id and n.created_at > k.created_at
      and n.created_at < ${new Date(clock.now() - graceMs)} and n.master_key_id in (${sql.join([...master.byId.keys()])}))`;
  let deleted = 0;
  for (let after: { accountId: string; id: string } | undefined; ;) {
    const page = await sql<{ accountId: string; id: string }>`
      select k.account_id as "accountId", k.id from account_keys k
      where ${after ? sql`(k.account_id, k.id) > (${after.accountId}, ${after.id})` : sql`true`}
        and ${own} and ${replaced}
      order by k.account_id, k.id limit ${pageSize}`.execute(db);
    after = page.rows.at(-1);
    if (!after) return deleted;
    const those = sql.join(page.rows.map((row) => sql`(${row.accountId}, ${row.id}::uuid)`));
    deleted += await db.transaction().execute(async (trx) => {
      await lockDataKeys(trx);
      const { rows } = await sql`
        delete from account_keys k where (k.account_id, k.id) in (${those}) and ${isNamedByNone}
        returning 1`.execute(trx);
      return rows.length;
    });
  }
}

/** Keys that have a newer one beside them. */
export async function countOldDataKeys(db: Kysely<Tables>, accountId: string | undefined): Promise<number> {
  const own = accountId === undefined ? sql`` : sql`where account_id = ${accountId}`;
  const { rows } = await sql<{ count: number }>`
    select count(*) - count(distinct account_id) as count from account_keys ${own}`.execute(db);
  return rows[0]!.count;
}

/**
 * @param accountId this one; default: every account that has a key
 * @param onProgress after each page
 */
export async function rotateDataKeys(
  deps: DataKeyDeps,
  accountId: string | undefined,
  onProgress: (so: { renewed: number; resealed: number }) => void | Promise<void>,
): Promise<DataKeyRotation> {
  const so: DataKeyRotation = {
    ...{ renewed: 0, young: 0, resealed: 0, busy: 0 },
    unopened: { count: 0, examples: [] },
  };
  for (let after: string | undefined; ;) {
    const accounts = await readAccounts(deps.db, accountId, after);
    after = accounts.at(-1);
    if (after === undefined) break;
    const { renewed, young } = await renew(deps, accounts);
    so.renewed += renewed;
    so.young += young;
    await onProgress(so);
  }
  // A second sweep finds what services sealed with the old key while the first one was on its way.
  for (let sweeps = 0, found = 1; found > 0 && sweeps < mostSweeps; sweeps++) {
    found = 0;
    Object.assign(so, { busy: 0, unopened: { count: 0, examples: [] } });
    for (const table of sealedTables)
      for (let after: SealedRow | undefined; ;) {
        const rows = await readSealedRows(deps.db, table, { limit: pageSize, after, accountId });
        after = rows.at(-1);
        if (!after) break;
        const resealed = await resealAll(deps, table, rows, so);
        so.resealed += resealed;
        found += resealed;
        if (resealed > 0) await onProgress(so);
      }
    found += so.busy;
  }
  return so;
}

async function readAccounts(
  db: Kysely<Tables>,
  accountId: string | undefined,
  after: string | undefined,
): Promise<string[]> {
  const rows = await db
    .selectFrom('account_keys')
    .select('account_id')
    .distinct()
    .$if(accountId !== undefined, (query) => query.where('account_id', '=', accountId!))
    .$if(after !== undefined, (query) => query.where('account_id', '>', after!))
    .orderBy('account_id')
    .limit(pageSize)
    .execute();
  return rows.map((row) => row.account_id);
}

function renew({ db, master, clock, graceMs }: DataKeyDeps, accounts: readonly string[]) {
  return db.transaction().execute(async (trx) => {
    await lockDataKeys(trx);
    const keys = Map.groupBy(await dataKeysOf(trx, accounts), (key) => key.accountId);
    const added: StoredDataKey[] = [];
    for (const [accountId, [newest, ...older]] of keys) {
      const age = clock.now() - newest!.createdAt.getTime();
      if (older.length > 0 && age < graceMs && newestThatOpens(master, [newest!])) continue;
      // Whatever clock the newest one was made by: this one is newer.
      const createdAt = new Date(Math.max(clock.now(), newest!.createdAt.getTime() + 1));
      added.push({ ...newDataKey(master, accountId, clock).row, createdAt });
    }
    if (added.length > 0) await insertDataKeys(trx, added);
    return { renewed: added.length, young: keys.size - added.length };
  });
}

/** Answers how many values it sealed anew. */
async function resealAll(
  { db, master, clock }: DataKeyDeps,
  table: SealedTable,
  rows: readonly SealedRow[],
  so: DataKeyRotation,
): Promise<number> {
  // After the values: whatever key they name, it is among these.
  const keys = await dataKeysOf(db, [...new Set(rows.map(({ ref }) => ref.accountId))]);
  const accounts = new Map(
    [...Map.groupBy(keys, (key) => key.accountId)].map(([accountId, own]) => [
      accountId,
      { open: openerOf(master, own), newest: newestThatOpens(master, own) },
    ]),
  );
  const noKey = { open: openerOf(master, []), newest: undefined };
  let resealed = 0;
  const reseal = async (row: SealedRow) => {
    const { open, newest } = accounts.get(row.ref.accountId) ?? noKey;
    const changes = row.values.flatMap((value) => {
      try {
        return resealOne(open, newest, value, clock);
      } catch (error) {
        if (!(error instanceof UnsealError)) throw error;
        so.unopened.count += 1;
        if (so.unopened.examples.length < mostExamples)
          so.unopened.examples.push(`${table.name}, connection ${row.ref.id}: ${error.message}`);
        return [];
      }
    });
    if (changes.length === 0) return;
    if (await replaceSealed(db, row, changes)) resealed += changes.length;
    else so.busy += changes.length;
  };
  const waiting = rows.values();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (const row of waiting) await reseal(row);
    }),
  );
  return resealed;
}

function resealOne(
  open: Open,
  newest: DataKey | undefined,
  value: SealedRow['values'][number],
  clock: Clock,
) {
  const named = sealedWith(value.sealed);
  if (named === newest?.id) return [];
  const plaintext = open(value.place, value.sealed);
  return newest ? [{ ...value, resealed: seal(newest, value.place, plaintext, clock) }] : [];
}
