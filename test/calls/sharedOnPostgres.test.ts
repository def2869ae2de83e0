import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBudgetRows } from '../../src/calls/budgetRows.ts';
import type { Bucket } from '../../src/calls/caller.ts';
import { systemClock as clock } from '../../src/clock.ts';
import type { Database } from '../../src/db/database.ts';
import { startChild } from '../support/child.ts';
import { postgresDatabase } from '../support/databases.ts';
import { tcpProxy, type TcpProxy } from '../support/tcpProxy.ts';
import { worstWindow } from './judges.ts';
import { openSharer, timeOfDay, type Sharer } from './sharing.ts';

const second = (limit: number): Bucket => ({ key: `${limit}/s`, limit, windowMs: 1_000 });
/** So far ahead calls of such limits are leased. */
const horizonMs = 500;

let database: Database & { kind: 'postgres' };
let open: Sharer[];
beforeEach(async () => {
  open = [];
  const opened = await postgresDatabase({ poolSize: 2 });
  if (opened.kind === 'postgres') database = opened;
});
afterEach(async () => {
  await Promise.all(open.map((sharer) => sharer.close()));
  await database.close();
});
const start = async (options: Parameters<typeof openSharer>[1] & { url?: string } = {}) => {
  const sharer = await openSharer(options.url ?? database.databaseUrl, options);
  open.push(sharer);
  return sharer;
};
const arrivalsOf = (bucket: Bucket, of: readonly Sharer[] = open) =>
  of
    .flatMap((sharer) => sharer.arrivals.filter(({ key }) => key === bucket.key).map(({ at }) => at))
    .toSorted((a, b) => a - b);
const within = (times: readonly number[], fromMs: number, toMs: number) =>
  times.filter((at) => at >= fromMs && at < toMs).length;

describe('processes that share limits on PostgreSQL', () => {
  it('use them wholly at ten times too many calls, never exceed them, also when one is killed', async () => {
    const buckets = [second(20), second(100)];
    const run = { databaseUrl: database.databaseUrl, buckets, ms: 8_000, times: 10 / 4 };
    const children = Array.from({ length: 4 }, () =>
      startChild(new URL('child.ts', import.meta.url), JSON.stringify(run)),
    );
    for (const child of children) expect(await child.line()).toBe('ready');
    const startedAt = timeOfDay();
    for (const child of children) child.send('go');
    await clock.sleep(4_000);
    const killedAt = timeOfDay();
    children[0]!.signal('SIGKILL');
    const lines = (await Promise.all(children.map(({ ended }) => ended))).flatMap((ended) => ended.lines);
    for (const { key, limit } of buckets) {
      const times = lines
        .filter((line) => line.startsWith(key))
        .map((line) => Number(line.split(' ')[1]))
        .toSorted((a, b) => a - b);
      expect(worstWindow(times, 1_000)).toBeLessThanOrEqual(limit);
      const before = within(times, startedAt + 500, killedAt) / ((killedAt - startedAt - 500) / 1_000);
      // On a machine with nothing else to do 0.95 and more.
      expect(before / limit).toBeGreaterThan(0.85);
      // What the dead one had leased counts until it must have arrived, and for a window.
      const freeAt = killedAt + horizonMs + horizonMs + 100 + 1_000;
      const until = startedAt + run.ms;
      expect(within(times, freeAt, until) / ((until - freeAt) / 1_000) / limit).toBeGreaterThan(0.8);
    }
    const statements = lines
      .filter((line) => line.startsWith('statements'))
      .map((line) => line.split(' ')[1]);
    expect(statements).toHaveLength(3);
    // Two limits at a time.
    for (const count of statements) expect(Number(count) / (run.ms / 1_000)).toBeLessThan(25);
    const { rows } = await sql<{ hot: number; all: number; size: number }>`
      select n_tup_hot_upd::int as hot, n_tup_upd::int as "all",
        (select max(pg_column_size(state)) from rate_budgets) as size
      from pg_stat_user_tables where relname = 'rate_budgets'`.execute(database.db);
    expect(rows[0]!.all).toBeGreaterThan(50);
    expect(rows[0]!.hot / rows[0]!.all).toBeGreaterThan(0.9);
    expect(rows[0]!.size).toBeLessThan(8_000);
  });

  it('ask by the second, not by the call, while there is too much to do', async () => {
    const both = [await start(), await start()];
    for (const bucket of [second(100), second(400)]) {
      const flood = Promise.all(both.map((sharer) => sharer.overload(bucket, 2_500, 2)));
      await clock.sleep(500);
      const from = timeOfDay();
      const before = both.map((sharer) => sharer.statements());
      await clock.sleep(2_000);
      const statements = both.map((sharer, i) => sharer.statements() - before[i]!);
      const calls = within(arrivalsOf(bucket), from, timeOfDay());
      await flood;
      expect(worstWindow(arrivalsOf(bucket), 1_000)).toBeLessThanOrEqual(bucket.limit);
      for (const count of statements) expect(count / 2).toBeLessThan(14);
      expect(calls).toBeGreaterThan(bucket.limit);
    }
  });

  it('share a limit by the more urgent calls, but leave some to the others', async () => {
    const [bulk, urgent] = [await start(), await start()];
    const twenty = second(20);
    const flood = bulk.overload(twenty, 5_000, 3);
    await clock.sleep(500);
    const waits: number[] = [];
    for (let i = 0; i < 6; i++) {
      const { code, tookMs } = await urgent.call(twenty, { priority: 'interactive', deadlineMs: 2_000 });
      expect(code).toBe('OK');
      waits.push(tookMs);
      await clock.sleep(500);
    }
    // What was leased before goes first; the rest is the way to the database.
    expect(Math.max(...waits)).toBeLessThan(horizonMs + 200);
    await flood;
    expect(worstWindow(arrivalsOf(twenty), 1_000)).toBeLessThanOrEqual(20);
    expect(arrivalsOf(twenty, [bulk]).length).toBeGreaterThan(0.6 * 5 * 20);
  });

  it('all stay away when one was told to, and come back, also where the notice is lost', async () => {
    const one = async (notified: boolean) => {
      const bucket = { ...second(20), key: `notified: ${notified}` };
      let refuse = false;
      let refusedAt = Infinity;
      const answer = () => {
        if (!refuse) return undefined;
        refuse = false;
        refusedAt = timeOfDay();
        return { status: 429, headers: { 'retry-after': '2' } };
      };
      const [told, other] = [await start({ notified, answer }), await start({ notified })];
      const floods = Promise.all([told, other].map((sharer) => sharer.overload(bucket, 5_000, 3)));
      await clock.sleep(1_000);
      refuse = true;
      await floods;
      expect(refusedAt).toBeLessThan(Infinity);
      const times = arrivalsOf(bucket);
      // What was leased before goes, until the notice is heard, or until nothing is left of it.
      const quietAt = refusedAt + (notified ? 100 : horizonMs + 50);
      expect(within(times, quietAt, refusedAt + 2_000)).toBe(0);
      expect(within(arrivalsOf(bucket, [told]), refusedAt + 20, refusedAt + 2_000)).toBe(0);
      for (const sharer of [told, other])
        expect(within(arrivalsOf(bucket, [sharer]), refusedAt + 2_000, refusedAt + 3_500)).toBeGreaterThan(3);
      expect(worstWindow(times, 1_000)).toBeLessThanOrEqual(20);
    };
    await Promise.all([one(true), one(false)]);
  });
});

describe('processes that lose the database', () => {
  const proxies: TcpProxy[] = [];
  afterEach(async () => {
    // Before the limiters close, which tell the rows a last time.
    await Promise.all(open.splice(0).map((sharer) => sharer.close()));
    await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
  });

  it('go on with what is leased, let others wait for their deadlines, and come back without a burst', async () => {
    const lose = async (how: 'cut' | 'freeze') => {
      const url = new URL(database.databaseUrl);
      const proxy = await tcpProxy(Number(url.port));
      proxies.push(proxy);
      url.port = String(proxy.port);
      const bucket = { ...second(20), key: how };
      const both = [
        await start({ url: url.href, notified: false }),
        await start({ url: url.href, notified: false }),
      ];
      const floods = Promise.all(both.map((sharer) => sharer.overload(bucket, 6_500, 2)));
      await clock.sleep(2_000);
      const lostAt = timeOfDay();
      proxy[how]();
      const waiting = both[0]!.call(bucket, { priority: 'interactive', deadlineMs: 30_000 });
      await clock.sleep(2_000);
      proxy.restore();
      const backAt = timeOfDay();
      const ended = (await floods).flat();
      const endedAt = timeOfDay();
      const times = arrivalsOf(bucket);
      expect(worstWindow(times, 1_000)).toBeLessThanOrEqual(20);
      expect(within(times, lostAt, lostAt + horizonMs)).toBeGreaterThan(0);
      expect(within(times, lostAt + 2 * horizonMs + 50, backAt)).toBe(0);
      // It takes a moment to notice that it is back; nothing was used meanwhile.
      const settledAt = backAt + 1_000;
      expect(within(times, settledAt, endedAt) / ((endedAt - settledAt) / 1_000)).toBeGreaterThan(0.6 * 20);
      expect(Math.max(...ended.map(({ tookMs }) => tookMs))).toBeLessThan(1_000 + 1_500);
      expect(new Set(ended.map(({ code }) => code))).toEqual(new Set(['OK', 'DEADLINE_EXCEEDED']));
      expect((await waiting).code).toBe('OK');
      for (const { troubles } of both) expect(troubles.length > 0).toBe(how === 'cut');
    };
    await Promise.all([lose('cut'), lose('freeze')]);
  });
});

describe('the rows', () => {
  it('hold times and counts, and nothing else', async () => {
    const sharer = await start();
    await sharer.overload(second(20), 300, 5);
    const { rows } = await sql<{ state: Record<string, unknown> }>`select state from rate_budgets`.execute(
      database.db,
    );
    const names = ['aheadMs', 'arrived', 'asked', 'atMs', 'freeAtMs', 'leased', 'pausedMs', 'paceMs'];
    expect(Object.keys(rows[0]!.state).toSorted()).toEqual(names.toSorted());
    const texts = JSON.stringify(rows[0]!.state).match(/"[^"]*"/g)!;
    expect(
      texts.filter((text) => !/^"(\w+Ms|arrived|asked|leased|[0-9a-f]{8}(\.\d+)?)"$/.test(text)),
    ).toEqual([]);
  });

  it('outlive an hour without use where the window is longer', async () => {
    const sharer = await start();
    const day: Bucket = { key: 'day', limit: 100, windowMs: 86_400_000 };
    for (const bucket of [day, second(20)])
      await sharer.call(bucket, { priority: 'interactive', deadlineMs: 1_000 });
    await sharer.close();
    await sql`update rate_budgets set used_at = now() - interval '61 minutes'`.execute(database.db);
    // As when an hour has passed since.
    await sql`
      update rate_budgets set state = state || jsonb_build_object('freeAtMs', (state->>'freeAtMs')::float8 - 3600000)
    `.execute(database.db);
    await createBudgetRows(database.db).sweep();
    const { rows } = await sql<{ key: string }>`select key from rate_budgets`.execute(database.db);
    expect(rows).toEqual([{ key: 'day' }]);
  });

  it('can be opened by many at the same time, and each sees them', async () => {
    const wide = await postgresDatabase({ poolSize: 8 });
    const rows = createBudgetRows(wide.db);
    try {
      for (let round = 0; round < 10; round++) {
        const keys = [`a${round}`, `b${round}`];
        const answers = await Promise.all(
          Array.from({ length: 8 }, (_, i) => rows.open(i % 2 ? keys : keys.toReversed())),
        );
        // One that began before another's row was there may miss it; who asks again has it.
        for (const { rows: seen } of answers) expect(seen.length).toBeLessThanOrEqual(2);
        expect((await rows.open(keys)).rows.map(({ version }) => version)).toEqual([1, 1]);
      }
    } finally {
      await wide.close();
    }
  });
});
