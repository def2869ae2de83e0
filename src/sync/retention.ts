import { sql, type Kysely } from 'kysely';
import { createBackground, type Background } from '../background.ts';
import type { Clock } from '../clock.ts';
import type { Tables } from '../db/tables.ts';
import type { Log } from '../log.ts';

/** Removes what nobody may need any more, a little at a time: any number of processes may do it at once. */
export interface Retention extends Background {
  /** One round; answers whether there is more to do at once. */
  prune(): Promise<boolean>;
}

const lookEveryMs = 600_000;
const batch = 2_000;

export function createRetention(deps: {
  db: Kysely<Tables>;
  /** Of what a connection had, after it was disconnected. */
  recordDays: number;
  /** Of the history that subscribers can resume from. */
  eventDays: number;
  clock: Clock;
  log: Log;
}): Retention {
  const { db, recordDays, eventDays, clock, log } = deps;
  const before = (days: number) => new Date(clock.now() - days * 86_400_000);

  /** Its records, then what was told of them; the connection itself stays, as does the history of its life. */
  const pruneRecords = async (): Promise<boolean> => {
    const { rows } = await sql<{ account_id: string; id: string }>`
      select account_id, id from connections
      where status = 'DISCONNECTED' and records_erased_at is null and disconnected_at < ${before(recordDays)}
      order by disconnected_at limit 1`.execute(db);
    const ended = rows[0];
    if (!ended) return false;
    const { numAffectedRows = 0n } = await sql`
      delete from external_records where (account_id, connection_id, resource, external_id) in (
        select account_id, connection_id, resource, external_id from external_records
        where account_id = ${ended.account_id} and connection_id = ${ended.id} limit ${batch})`.execute(db);
    if (numAffectedRows > 0n) return true;
    await sql`
      with rounds as (
        delete from sync_rounds where account_id = ${ended.account_id} and connection_id = ${ended.id}
      ), counted as (
        update sync_statuses set record_count = 0 where account_id = ${ended.account_id} and connection_id = ${ended.id}
      )
      update connections set records_erased_at = ${new Date(clock.now())}, profile = null
      where account_id = ${ended.account_id} and id = ${ended.id}`.execute(db);
    return true;
  };

  const pruneEvents = async (): Promise<boolean> => {
    const { numAffectedRows = 0n } = await sql`
      delete from sync_events where (account_id, sequence) in (
        select account_id, sequence from sync_events where occurred_at < ${before(eventDays)}
        order by occurred_at limit ${batch})`.execute(db);
    return numAffectedRows === BigInt(batch);
  };

  const prune = async () => {
    const moreRecords = await pruneRecords();
    return (await pruneEvents()) || moreRecords;
  };
  const background = createBackground(clock, lookEveryMs, prune, (error) =>
    log.warn({ err: error }, 'what is too old cannot be removed'),
  );
  return { prune, ...background };
}
