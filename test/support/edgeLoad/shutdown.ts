/**
 * Processes that are told to stop while they are at work: what their clients notice, how they end, and what is left of
 * them in the database.
 */
import { sql } from 'kysely';
import type { Database } from '../../../src/db/database.ts';
import type { Product } from '../product.ts';
import type { GoodReport } from './goodTraffic.ts';
import { openSurroundings, type Surroundings } from './surroundings.ts';

export interface StopResult {
  exitCodes: (number | null)[];
  slowestExitMs: number;
  /** Good answers in the second before the signal, in each round. */
  perSecond: number[];
  /** Requests that were answered, acknowledged webhooks among them. */
  answered: number;
  acknowledged: number;
  /** Connects that nobody listened to; nothing was lost by them. */
  refused: number;
  /** Requests that were sent and never answered, by why; answers that are not 200. */
  cut: Record<string, number>;
  unacknowledged: Record<string, number>;
  ends: GoodReport['ends'];
  wrong: string[];
  /** Acknowledged and not stored; stored twice; leases that a process which had ended still held. */
  lost: number;
  doubled: number;
  leases: number;
  logged: string[];
}

export interface StopOptions {
  rounds: number;
  seed: number;
  requestsPerSecond: number;
  /** At work for so long before it is told to stop. */
  warmMs: number;
  followers: { sockets: number; streams: number; callbacks: number };
  log?: (line: object) => void;
}

/** One process after the other, each ended by SIGTERM at full load. */
export async function stopUnderLoad(options: StopOptions): Promise<StopResult> {
  const result: StopResult = {
    ...{
      exitCodes: [],
      slowestExitMs: 0,
      perSecond: [],
      answered: 0,
      acknowledged: 0,
      refused: 0,
      cut: {},
      unacknowledged: {},
    },
    ends: { sockets: {}, streams: {}, callbacks: {} },
    ...{ wrong: [], lost: 0, doubled: 0, leases: 0, logged: [] },
  };
  const surroundings = await openSurroundings({ products: 1, seed: options.seed });
  try {
    const database = await surroundings.processes.look();
    let [product] = surroundings.products as [Product];
    for (let round = 1; round <= options.rounds; round++) {
      const { ended, perSecond, report } = await stopOnce(surroundings, product, options);
      result.exitCodes.push(ended.code);
      result.perSecond.push(perSecond);
      result.slowestExitMs = Math.max(result.slowestExitMs, ended.tookMs);
      result.answered += answeredIn(report);
      result.acknowledged += report.acknowledged.length;
      result.refused += report.failures.refused;
      add(result.cut, report.failures.cut);
      add(result.unacknowledged, report.failures.answers);
      for (const of of ['sockets', 'streams', 'callbacks'] as const) add(result.ends[of], report.ends[of]);
      result.wrong.push(...report.wrong, ...report.failures.samples);
      result.leases += await leasesIn(database);
      const { lost, doubled } = await settledIn(database, report.acknowledged);
      result.lost += lost;
      result.doubled += doubled;
      result.logged.push(...errorsIn(product));
      options.log?.({ round, ...ended, perSecond, ...report.failures, ends: report.ends });
      if (round < options.rounds) product = await surroundings.processes.start();
    }
    return result;
  } finally {
    await surroundings.close();
  }
}

async function stopOnce(surroundings: Surroundings, product: Product, options: StopOptions) {
  const { begin, good, report } = surroundings;
  const { requestsPerSecond: rate, followers } = options;
  await begin({
    targets: [{ url: product.url }],
    ...{ followers, endAtRefusal: true },
    rates: { webhook: rate * 0.8, status: rate * 0.15, entities: rate * 0.05 },
  });
  await gather(surroundings, followers);
  await wait(options.warmMs);
  const before = answeredIn(await report());
  await wait(1_000);
  const perSecond = answeredIn(await report()) - before;
  await good({ do: 'stay', away: true });
  const stoppedAt = performance.now();
  const code = await product.stop();
  const ended = { code, tookMs: Math.round(performance.now() - stoppedAt) };
  await good({ do: 'settle' });
  await wait(200);
  return { ended, perSecond, report: await report() };
}

const answeredIn = ({ latencies }: GoodReport) =>
  Object.values(latencies).reduce((sum, { count }) => sum + count, 0);

export interface RollResult {
  exitCodes: (number | null)[];
  slowestExitMs: number;
  acknowledged: number;
  refused: number;
  cut: Record<string, number>;
  unacknowledged: Record<string, number>;
  /** Acknowledged and not stored, or not worked off in the end; stored twice. */
  lost: number;
  doubled: number;
  unfinished: number;
  /** Records that came into being without exactly one event that says so. */
  wrongEvents: number;
  /** What followers were told, and what of it they missed or were told twice; those who do not know the last. */
  delivered: number;
  gaps: number;
  doubles: number;
  behind: number;
  /** Events of which followers know another id than the table has. */
  contradictions: number;
  ends: GoodReport['ends'];
  leases: number;
  wrong: string[];
  logged: string[];
}

/** Processes on one PostgreSQL, each ended by SIGTERM and started again on its port, one after the other, at full load. */
export async function rollUnderLoad(
  options: Omit<StopOptions, 'rounds'> & { processes: number; recordsPerSecond: number },
): Promise<RollResult> {
  const { requestsPerSecond: rate, followers } = options;
  const surroundings = await openSurroundings({ products: options.processes, seed: options.seed });
  const { processes, products, good } = surroundings;
  try {
    const rates = { webhook: rate * 0.8, status: rate * 0.15, entities: rate * 0.05 };
    await surroundings.begin({ followers, rates: { ...rates, record: options.recordsPerSecond } });
    await gather(surroundings, followers);
    const exits: { code: number | null; tookMs: number }[] = [];
    const logged: string[] = [];
    for (const [i, product] of products.entries()) {
      await wait(options.warmMs);
      const stoppedAt = performance.now();
      const code = await product.stop();
      exits.push({ code, tookMs: Math.round(performance.now() - stoppedAt) });
      logged.push(...errorsIn(product));
      products[i] = await processes.start({ PORT: new URL(product.url).port });
      options.log?.({ restarted: i, ...exits.at(-1) });
    }
    await wait(1_000);
    await good({ do: 'settle' });
    const database = await processes.look();
    await workedOff(database);
    await gather(surroundings, followers);
    const report = await reportOnceTold(surroundings);
    await good({ do: 'stay', away: true });
    logged.push(...products.flatMap(errorsIn));
    await Promise.all(products.map((product) => product.stop()));
    const { failures, told } = report;
    return {
      exitCodes: exits.map(({ code }) => code),
      slowestExitMs: Math.max(...exits.map(({ tookMs }) => tookMs)),
      acknowledged: report.acknowledged.length,
      ...{ refused: failures.refused, cut: failures.cut, unacknowledged: failures.answers },
      ...(await settledIn(database, report.acknowledged)),
      unfinished: await unfinishedIn(database),
      wrongEvents: await wrongEventsIn(database, report),
      ...{ delivered: told.delivered, gaps: told.gaps, doubles: told.doubles },
      behind: report.behind.reduce((sum, one) => sum + one.followers, 0),
      contradictions: told.contradictions + (await contradictionsIn(database, report)),
      ends: (await surroundings.report()).ends,
      leases: await leasesIn(database),
      ...{ wrong: [...report.wrong, ...failures.samples], logged },
    };
  } finally {
    await surroundings.close();
  }
}

/** Until all who should follow do, or for so long that they never will. */
export async function gather(
  { report }: Surroundings,
  { sockets, streams, callbacks }: StopOptions['followers'],
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

function add(sums: Record<string, number>, more: Record<string, number>): void {
  for (const [key, count] of Object.entries(more)) sums[key] = (sums[key] ?? 0) + count;
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
