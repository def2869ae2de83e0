import { noCalls, type BudgetRows, type SharedState } from '../../src/calls/budgetRows.ts';
import { createKeeperClock } from '../../src/calls/keeperClock.ts';
import { createLeases, type Asker, type News } from '../../src/calls/leases.ts';
import { createBudgets } from '../../src/calls/rateLimit.ts';
import { createSharedRateLimiter } from '../../src/calls/sharedRateLimit.ts';
import type { Slot } from '../../src/calls/slots.ts';
import type { Bucket } from '../../src/calls/window.ts';
import { manualClock } from '../support/manualClock.ts';
import { memoryRows } from '../support/memoryRows.ts';

/** As this process is called in the rows. */
export const me = '0badcafe';
/** Since the clock began. All times below are told from then on. */
const startAt = 100_000;

/** Rows on a clock without chance, and the statements that they were sent. A test may put its own in place of one. */
export async function openRows(delayMs = 0) {
  const clock = manualClock();
  clock.random = () => 0.5;
  clock.randomUUID = () => `${me}-0000-4000-8000-000000000000`;
  await clock.advance(startAt);
  const startMs = clock.now();
  const stored = memoryRows(clock, () => clock.now());
  const line = stored.seenBy({ delayMs: () => delayMs, fate: () => 'fine' });
  const since = (ms: number) => Math.round((ms - startAt) * 100) / 100;
  const statements: { at: number; text: string }[] = [];
  const log = (...words: string[]) =>
    statements.push({ at: since(clock.monotonic()), text: words.join(' ') });
  const rows: BudgetRows = {
    open(keys) {
      log('open', ...keys);
      return line.open(keys);
    },
    read(keys) {
      log('read', ...keys);
      return line.read(keys);
    },
    exchange(groups, loud) {
      const written = groups.map((group) => group.map(({ key }) => key).join('+'));
      log('exchange', ...written, ...loud.map((key) => `loud ${key}`));
      return line.exchange(groups, loud);
    },
    sweep() {
      log('sweep');
      return line.sweep();
    },
  };
  const told = (keeperMs: number) => (keeperMs === 0 ? 'never' : since(keeperMs - startMs + startAt));
  return {
    clock,
    rows,
    ...{ line, startMs },
    stored: stored.rows,
    /** A monotonic time. */
    since,
    now: () => since(clock.monotonic()),
    at: (ms: number) => startAt + ms,
    /** What was sent since the last time. */
    sent: () => statements.splice(0).map(({ text }) => text),
    /** The same with their times. */
    sentAt: () => statements.splice(0).map(({ at, text }) => `${at} ${text}`),
    /** A row as others left it. */
    put(key: string, { paceMs, asked = {}, ...state }: Partial<SharedState>) {
      const theirs = Object.entries(asked).map(([who, [ms, level]]) => [who, [startMs + ms, level]]);
      stored.rows.set(key, {
        ...{ key, version: 7 },
        state: {
          ...noCalls,
          paceMs: paceMs === undefined ? 0 : startMs + paceMs,
          asked: Object.fromEntries(theirs) as SharedState['asked'],
          ...state,
        },
      });
    },
    row(key: string) {
      const { version, state } = stored.rows.get(key)!;
      return {
        version,
        arrived: state.arrived.map(([ms, calls]) => [told(ms), calls]),
        leased: Object.fromEntries(
          Object.entries(state.leased).map(([batch, [calls, ms]]) => [batch, [calls, told(ms)]]),
        ),
        paceMs: told(state.paceMs),
        aheadMs: state.aheadMs,
        pausedMs: told(state.pausedMs),
        atMs: told(state.atMs),
        asked: Object.fromEntries(
          Object.entries(state.asked).map(([who, [ms, level]]) => [who, [told(ms), level]]),
        ),
        freeAtMs: told(state.freeAtMs),
      };
    },
  };
}

/** The leases of one process. */
export async function openLeases(delayMs = 0) {
  const opened = await openRows(delayMs);
  const { clock, rows, since, at } = opened;
  const budgets = createBudgets(() => clock.monotonic());
  const keeper = createKeeperClock(clock);
  const leases = createLeases({ clock, rows, keeper, budgets, longestCallMs: 1_000 });
  return {
    ...opened,
    ...{ budgets, leases },
    /** One exchange, which has to end within `withinMs`. */
    async exchange(
      asking: readonly Asker[],
      told: readonly News[] = [],
      { withinMs = 0, signal = new AbortController().signal } = {},
    ) {
      let ended = false;
      const work = leases.exchange(asking, told, signal).finally(() => (ended = true));
      work.catch(() => {});
      await clock.advance(withinMs);
      if (!ended) throw new Error(`It has not ended after ${withinMs} ms.`);
      return work;
    },
    news: (bucket: Bucket, { pausedUntil, learnt = [], reports = [] }: Partial<News>): News => ({
      ...{ bucket, dueAt: 0, pausedUntil: pausedUntil === undefined ? -Infinity : at(pausedUntil) },
      learnt: learnt.map((one) => ({ ...one, leavesAt: at(one.leavesAt) })),
      reports: reports.map((one) => ({
        ...one,
        arrivedAt: one.arrivedAt === undefined ? undefined : at(one.arrivedAt),
      })),
    }),
    /** From when its calls may go, and until when. */
    spans: ({ grants }: Asker) => grants.map(({ dueAt, lastAt }) => [since(dueAt), since(lastAt)]),
    dues: ({ grants }: Asker) => grants.map(({ dueAt }) => since(dueAt)),
    asksAgainAt: ({ nextAskAt }: Asker) => since(nextAskAt),
  };
}

/** The limiter of one process, and a queue of which the test tells how many wait. */
export async function openLimiter(delayMs = 0) {
  const opened = await openRows(delayMs);
  const { clock, rows, now } = opened;
  const troubles: unknown[] = [];
  const limiter = createSharedRateLimiter({
    ...{ clock, rows, longestCallMs: 1_000 },
    onTrouble: (error) => troubles.push(error),
  });
  const keyOf = (buckets: readonly Bucket[]) => buckets.map(({ key }) => key).join(' ');
  const queue = new Map<string, { calls: number; level: number }>();
  const events: string[] = [];
  const wait = (buckets: readonly Bucket[], calls: number, level = 0) =>
    queue.set(keyOf(buckets), { calls, level });
  limiter.serve({
    waiting: (buckets) => queue.get(keyOf(buckets)) ?? { calls: 0, level: 0 },
    room: (buckets) => events.push(`${now()} room ${keyOf(buckets)}`),
    paused: () => events.push(`${now()} paused`),
  });
  return {
    ...opened,
    ...{ limiter, troubles, wait },
    /** What the queue was told since the last time. */
    events: () => events.splice(0),
    /** So many wait from now on: how long until the first may go? */
    ask(buckets: readonly Bucket[], calls: number, level = 0): number {
      wait(buckets, calls, level);
      return limiter.waitMs(buckets, level);
    },
    /** Takes the turns of all that may go now; nobody waits any more. */
    takeAll(buckets: readonly Bucket[]): Slot[] {
      const slots: Slot[] = [];
      for (let slot; (slot = limiter.take(buckets, 0, true));) slots.push(slot);
      wait(buckets, 0);
      return slots;
    },
  };
}

export const asker = (buckets: readonly Bucket[], waiting: number, level = 0): Asker => ({
  ...{ buckets, waiting, level },
  ...{ grants: [], nextAskAt: -Infinity },
});
