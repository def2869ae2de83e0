/** What is to be seen of good traffic once it is over: with its clients, in the database and in what processes have printed. */
import { sql } from 'kysely';
import type { Database } from '../../../src/db/database.ts';
import type { Product } from '../product.ts';
import type { GoodReport } from './goodTraffic.ts';
import type { Surroundings } from './surroundings.ts';

/** Until all who should follow do, or for so long that they never will. */
export async function gather(
  { report }: Surroundings,
  { sockets, streams, callbacks }: GoodReport['present'],
): Promise<void> {
  const giveUpAt = Date.now() + 30_000;
  for (let there = 0; there < sockets + streams + callbacks && Date.now() < giveUpAt;) {
    await wait(500);
    const { present } = await report();
    there = present.sockets + present.streams + present.callbacks;
  }
}

/** Once every follower knows of the last event, or after so long that some never will. */
export async function reportOnceTold({ report }: Surroundings): Promise<GoodReport> {
  const giveUpAt = Date.now() + 30_000;
  for (;;) {
    const now = await report();
    if (now.behind.every(({ followers }) => followers === 0) || Date.now() > giveUpAt) return now;
    await wait(500);
  }
}

export async function workedOff(database: Database): Promise<void> {
  const giveUpAt = Date.now() + 60_000;
  while ((await unfinishedIn(database)) > 0 && Date.now() < giveUpAt) await wait(500);
}

export async function unfinishedIn({ db }: Database): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from webhook_deliveries where status <> 'PROCESSED'`.execute(db);
  return rows[0]!.count;
}

export async function wrongEventsIn({ db }: Database, { created }: GoodReport): Promise<number> {
  const { rows } = await sql<{ key: string; count: number }>`
    select account_id || ' ' || external_id as key, count(*)::int as count from sync_events
    where kind = 'RECORD_CREATED' and resource = 'Vendor' group by 1`.execute(db);
  const counts = new Map(rows.map(({ key, count }) => [key, count]));
  return created.filter((one) => counts.get(`${one.accountId} ${one.externalId}`) !== 1).length;
}

/** Events that followers were told of, and that the table does not have at their place. */
export async function contradictionsIn({ db }: Database, { histories }: GoodReport): Promise<number> {
  let wrong = 0;
  for (const [accountId, history] of Object.entries(histories)) {
    const { rows } = await sql<{ sequence: number; id: string }>`
      select sequence, id from sync_events where account_id = ${accountId}`.execute(db);
    const stored = new Map(rows.map(({ sequence, id }) => [Number(sequence), id]));
    wrong += history.filter(([sequence, id]) => stored.get(sequence) !== id).length;
  }
  return wrong;
}

/** Of all processes: once the last has ended there is nobody who could hold one. */
export async function leasesIn({ db }: Database): Promise<number> {
  const { rows } = await sql<{ held: number }>`
    select ((select count(*) from delivery_queues where lease_owner is not null)
      + (select count(*) from sync_rounds where lease_owner is not null)
      + (select count(*) from oauth_tokens where lease_owner is not null))::int as held`.execute(db);
  return rows[0]!.held;
}

/** What was acknowledged, held against what is stored. */
export async function settledIn({ db }: Database, acknowledged: readonly string[]) {
  const { rows } = await sql<{ id: string; count: number }>`
    select event_id as id, count(*)::int as count from webhook_deliveries group by event_id`.execute(db);
  const counts = new Map(rows.map(({ id, count }) => [(JSON.parse(id) as [string])[0], count]));
  return {
    lost: acknowledged.filter((id) => !counts.has(id)).length,
    doubled: [...counts.values()].filter((count) => count > 1).length,
  };
}

/** Lines at level `error` or above, and what Node says of unhandled rejections and the like. */
export function errorsIn(product: Product): string[] {
  return product
    .output()
    .split('\n')
    .filter((line) =>
      /^\{.*"level":"?(?:50|60|error|fatal)|^\(node:|Unhandled|^\w*Error|^while stopping/.test(line),
    );
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
