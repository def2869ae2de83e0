import { randomUUID } from 'node:crypto';
import { sql, type Kysely } from 'kysely';
import { systemClock as clock } from '../../src/clock.ts';
import type { ConnectionApi } from '../../src/connections/api.ts';
import { findConnections } from '../../src/connections/connection.ts';
import { openDatabase } from '../../src/db/database.ts';
import type { Tables } from '../../src/db/tables.ts';
import { createLog } from '../../src/log.ts';
import { createCatalog } from '../../src/providers/catalog.ts';
import type { ChangePage } from '../../src/providers/changes.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';
import { createPolling } from '../../src/sync/poll.ts';
import { claimRounds } from '../../src/sync/rounds.ts';
import { listSyncStatuses } from '../../src/sync/status.ts';
import type { Bench } from './benchmark.ts';
import { inOwnProcess } from './process.ts';
import { median } from './report.ts';

export const sync: Bench = {
  name: 'sync',
  title: 'sync: pages applied, idle polls, claims among many due rounds, statements per status query',
  usesDatabase: true,
  async run({ seconds, databaseUrl, report }) {
    const forMs = Math.min(seconds, 10) * 1_000;
    for (const [records, what] of [
      [0, 'polls that find nothing'],
      [100, 'pages of 100 new records applied'],
      [1_000, 'pages of 1,000 new records applied'],
    ] as const) {
      const options = { databaseUrl, records, forMs };
      const { perSecond, statementsEach } = await inOwnProcess(import.meta.url, pollFor, options);
      report({ metric: what, value: perSecond, unit: '/s' });
      report({ metric: `${what}: statements each`, value: statementsEach, unit: 'statements' });
    }
    const claims = await inOwnProcess(import.meta.url, claimAmong, { databaseUrl });
    for (const { due, ms } of claims)
      report({
        ...{ metric: 'a claim of 16 due rounds', value: ms, unit: 'ms' },
        reference: { name: `${due.toLocaleString('en')} due, by 1,000 due`, value: claims[0]!.ms },
        ...(due > 1_000 && { goal: { atMost: 2 * claims[0]!.ms } }),
      });
    const statuses = await inOwnProcess(import.meta.url, statusQueries, { databaseUrl });
    for (const { connections, statements, ms } of statuses)
      report({
        ...{ metric: `statuses of ${connections} connections (${ms.toFixed(1)} ms)`, unit: 'statements' },
        ...{ value: statements, goal: { equal: 1 } },
      });
  },
};

/** Connections with the ten resources of QuickBooks, in one account or in one each. */
export async function fill(
  db: Kysely<Tables>,
  count: number,
  { account, dueIn = 'null' }: { account?: string; dueIn?: string } = {},
): Promise<void> {
  const prefix = account ?? randomUUID();
  const names = sql`unnest(${quickbooks.resources}::text[])`;
  await sql`insert into connections (account_id, id, integration_id, status, external_id, generation)
    select ${prefix} || case when ${account === undefined} then i::text else '' end, gen_random_uuid(),
      case when ${account === undefined} then 'quickbooks' else 'quickbooks' || i end, 'ACTIVE', ${prefix} || i, 1
    from generate_series(1, ${count}::int) i`.execute(db);
  const own = sql`from connections c, ${names} as n (resource) where c.account_id like ${`${prefix}%`}`;
  await sql`insert into sync_statuses (account_id, connection_id, resource)
    select c.account_id, c.id, n.resource ${own}`.execute(db);
  await sql`insert into sync_rounds (account_id, connection_id, resource, next_poll_at, cursor)
    select c.account_id, c.id, n.resource, ${sql.raw(dueIn)}, now() ${own}`.execute(db);
  for (const table of ['connections', 'sync_statuses', 'sync_rounds'] as const)
    await sql`analyze ${sql.table(table)}`.execute(db);
}

/** The whole of a poll but the provider, which answers at once. */
export async function pollFor({
  databaseUrl,
  records,
  forMs,
}: {
  databaseUrl: string;
  records: number;
  forMs: number;
}): Promise<{ perSecond: number; statementsEach: number }> {
  let statements = 0;
  const { db, close } = await openDatabase({
    ...{ databaseUrl, dataDir: '', poolSize: 10 },
    onQuery: () => void statements++,
  });
  await sql`truncate connections cascade`.execute(db);
  await fill(db, records === 0 ? 200 : 20, { dueIn: 'now()' });
  let pages = 0;
  const fresh = (): ChangePage => ({
    changes: Array.from({ length: records }, () => {
      const externalId = randomUUID();
      const payload = { Id: externalId, DisplayName: 'Somebody', Notes: 'x'.repeat(600) };
      return { kind: 'UPSERTED', externalId, snapshot: { externalId, payload, updatedAt: new Date() } };
    }),
    ...{ next: undefined, at: new Date(), isWhole: false },
  });
  const polling = createPolling({
    ...{ db, forAccount: () => db, clock, log: createLog('fatal') },
    catalog: createCatalog([
      { provider: quickbooks, endpoints: quickbooks.endpoints, limits: quickbooks.limits },
    ]),
    api: {
      changes: () => {
        pages++;
        return Promise.resolve(fresh());
      },
    } as unknown as ConnectionApi,
    // Everything is due again at once.
    intervalMs: 1,
  });
  polling.start();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  [pages, statements] = [0, 0];
  const startedAt = performance.now();
  await new Promise((resolve) => setTimeout(resolve, forMs));
  const perSecond = pages / ((performance.now() - startedAt) / 1_000);
  const statementsEach = statements / pages;
  await polling.stop();
  await close();
  return { perSecond, statementsEach };
}

export async function claimAmong({
  databaseUrl,
  sizes = [1_000, 100_000],
}: {
  databaseUrl: string;
  sizes?: readonly number[];
}): Promise<{ due: number; ms: number }[]> {
  const { db, close } = await openDatabase({ databaseUrl, dataDir: '', poolSize: 2 });
  const found: { due: number; ms: number }[] = [];
  for (const due of sizes) {
    await sql`truncate connections cascade`.execute(db);
    await fill(db, due / quickbooks.resources.length, { dueIn: "now() - random() * interval '1 hour'" });
    const times: number[] = [];
    for (let i = 0; i < 60; i++) {
      const startedAt = performance.now();
      const claimed = await claimRounds(db, 16, new Date());
      times.push(performance.now() - startedAt);
      if (claimed.length !== 16) throw new Error(`claimed ${claimed.length}`);
    }
    found.push({ due, ms: median(times.slice(10)) });
  }
  await close();
  return found;
}

export async function statusQueries({ databaseUrl }: { databaseUrl: string }) {
  let statements = 0;
  const { db, close } = await openDatabase({
    ...{ databaseUrl, dataDir: '', poolSize: 2 },
    onQuery: () => void statements++,
  });
  await sql`truncate connections cascade`.execute(db);
  const found: { connections: number; statements: number; ms: number }[] = [];
  for (const connections of [1, 50, 500]) {
    const account = randomUUID();
    await fill(db, connections, { account });
    const rows = await db.selectFrom('connections').select('id').where('account_id', '=', account).execute();
    const ids = rows.map((row) => row.id);
    const own = [...(await findConnections(db, clock, account, ids)).values()];
    const times: number[] = [];
    for (let i = 0; i < 20; i++) {
      statements = 0;
      const startedAt = performance.now();
      await listSyncStatuses(db, account, own);
      times.push(performance.now() - startedAt);
    }
    found.push({ connections, statements, ms: median(times) });
  }
  await close();
  return found;
}
