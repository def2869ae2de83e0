import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createBudgetRows } from '../../src/calls/budgetRows.ts';
import { createRateLimiter, type RateLimiter } from '../../src/calls/rateLimit.ts';
import { createSharedRateLimiter } from '../../src/calls/sharedRateLimit.ts';
import type { Slot } from '../../src/calls/slots.ts';
import { createTurns } from '../../src/calls/turns.ts';
import type { Bucket } from '../../src/calls/window.ts';
import { systemClock as clock } from '../../src/clock.ts';
import type { Database } from '../../src/db/database.ts';
import { postgresDatabase } from '../support/databases.ts';
import { stand, worstWindow, type Manner } from './standing.ts';

let database: Database;
let open: RateLimiter[];
beforeAll(async () => {
  database = await postgresDatabase();
});
beforeAll(() => void (open = []));
afterEach(async () => {
  await Promise.all(open.splice(0).map((limiter) => limiter.close()));
});
afterAll(() => database.close());

const shared = () =>
  createSharedRateLimiter({
    clock,
    rows: createBudgetRows(database.db),
    longestCallMs: 2_000,
    onTrouble(error) {
      throw error;
    },
  });

/** What a call may rely on, whichever limiter counts it. By the real clock, for PostgreSQL has no other. */
describe.each<[string, () => RateLimiter]>([
  ['in memory', () => createRateLimiter(clock)],
  ['shared on PostgreSQL', shared],
])('a rate limiter %s', (_, create) => {
  const start = () => {
    const limiter = create();
    open.push(limiter);
    const turns = createTurns(clock, limiter, { perBucket: 1_000, total: 1_000 });
    const times: number[] = [];
    const turn = (buckets: readonly Bucket[], manner: Manner = {}) => stand(turns, buckets, manner);
    const call = async (buckets: readonly Bucket[], manner: Manner = {}) => {
      const slot = await turn(buckets, manner);
      expect(slot.usable()).toBe(true);
      slot.sent();
      times.push(clock.monotonic());
      await clock.sleep(1);
      slot.ended();
    };
    /** How long the next call waits. */
    const waits = async (buckets: readonly Bucket[], manner: Manner = {}) => {
      const startedAt = clock.monotonic();
      await call(buckets, manner);
      return clock.monotonic() - startedAt;
    };
    return { limiter, turns, turn, call, waits, times };
  };
  const urgent: Manner = { priority: 'interactive' };
  const bucket = (limit: number, windowMs: number): Bucket => ({ key: randomUUID(), limit, windowMs });
  const times = <T>(count: number, work: (i: number) => T) => Array.from({ length: count }, (_x, i) => work(i));

  it('lets a quarter of the limit through at once, and never more than the limit in any window', async () => {
    const buckets = [bucket(20, 400)];
    const { call, times: sent } = start();
    const startedAt = clock.monotonic();
    await Promise.all(times(5, () => call(buckets, urgent)));
    expect(clock.monotonic() - startedAt).toBeLessThan(150);
    await Promise.all(times(55, () => call(buckets)));
    expect(worstWindow(sent, 400)).toBeLessThanOrEqual(20);
    // Three windows' worth; shared, the answer to one call makes room for another a moment later.
    expect(clock.monotonic() - startedAt).toBeLessThan(3 * 400 * 1.5);
  });

  it('takes one of each bucket, or none', async () => {
    const wide = bucket(1_000, 10_000);
    const narrow = bucket(1, 700);
    const { call, limiter, turns } = start();
    await call([wide, narrow]);
    const leaving = new AbortController();
    const held = call([wide, narrow], { signal: leaving.signal });
    await clock.sleep(150);
    expect(turns.queued([wide])).toBe(1);
    await limiter.refresh([wide, narrow]);
    expect(limiter.view([wide])).toMatchObject({ limit: 1_000, remaining: 999 });
    // The wide bucket has room for who needs only that.
    const startedAt = clock.monotonic();
    await call([wide], urgent);
    expect(clock.monotonic() - startedAt).toBeLessThan(150);
    leaving.abort(new Error('left'));
    await expect(held).rejects.toThrow('left');
  });

  it('lets nobody through while one of the buckets is paused, and never shortens a pause', async () => {
    const paused = bucket(100, 1_000);
    const other = bucket(100, 1_000);
    const { call, limiter, times: sent } = start();
    await call([paused, other]);
    const pausedAt = clock.monotonic();
    limiter.pause([paused], 500);
    limiter.pause([paused], 50);
    expect(limiter.pausedMs([other, paused])).toBeGreaterThan(400);
    expect(limiter.pausedMs([other])).toBe(0);
    await call([other]);
    await call([other, paused]);
    expect(sent[1]! - pausedAt).toBeLessThan(250);
    expect(sent[2]! - pausedAt).toBeGreaterThanOrEqual(500);
    expect(sent[2]! - pausedAt).toBeLessThan(1_000);
    expect(limiter.pausedMs([paused])).toBe(0);
  });

  it('shows a pause, and when the whole limit is free again', async () => {
    const buckets = [bucket(50, 30_000), bucket(10, 1_000)];
    const { call, limiter } = start();
    expect(limiter.view(buckets)).toMatchObject({ limit: 10, remaining: 10, resetsAtMs: undefined });
    expect(limiter.view([])).toBeUndefined();
    await Promise.all(times(2, () => call(buckets, urgent)));
    await limiter.refresh(buckets);
    const view = limiter.view(buckets)!;
    expect(view).toMatchObject({ limit: 10, windowMs: 1_000, remaining: 8, pausedUntilMs: undefined });
    expect(view.resetsAtMs! - clock.now()).toBeGreaterThan(500);
    expect(view.resetsAtMs! - clock.now()).toBeLessThan(1_100);
    limiter.pause(buckets, 5_000);
    await clock.sleep(100);
    await limiter.refresh(buckets);
    const paused = limiter.view(buckets)!;
    expect(paused.remaining).toBe(0);
    expect(paused.pausedUntilMs! - clock.now()).toBeGreaterThan(4_500);
    expect(paused.pausedUntilMs! - clock.now()).toBeLessThanOrEqual(5_000);
  });

  it('is corrected by an answer that knows of fewer calls left, and not by one that knows of more', async () => {
    const one = bucket(100, 2_000);
    const { call, waits, limiter } = start();
    await call([one]);
    limiter.learn([one], [{ remaining: 100 }, { remaining: Number.NaN }]);
    await clock.sleep(700);
    await limiter.refresh([one]);
    expect(limiter.view([one])?.remaining).toBe(99);
    limiter.learn([one], [{ limit: 100, windowMs: 2_000, remaining: 0, resetMs: 500 }]);
    await clock.sleep(100);
    await limiter.refresh([one]);
    expect(limiter.view([one])?.remaining).toBe(0);
    const waited = await waits([one], urgent);
    expect(waited).toBeGreaterThan(300);
    expect(waited).toBeLessThan(1_000);
  });

  it('lets so many be under way at one time as a limit without a window says', async () => {
    const lane = bucket(2, 0);
    const { turn, waits } = start();
    const running: Slot[] = [];
    for (let i = 0; i < 2; i++) {
      const slot = await turn([lane], urgent);
      slot.sent();
      running.push(slot);
    }
    let third: Slot | undefined;
    void turn([lane], urgent).then((slot) => (third = slot));
    await clock.sleep(600);
    expect(third).toBeUndefined();
    running[0]!.ended();
    await expect.poll(() => third, { timeout: 1_500 }).toBeDefined();
    third!.ended();
    running[1]!.ended();
    for (let i = 0; i < 3; i++) expect(await waits([lane])).toBeLessThan(1_500);
  });

  it('has the room again that a turn did not use', async () => {
    const buckets = [bucket(1, 10_000), bucket(1, 0)];
    const { turn, waits } = start();
    for (let i = 0; i < 2; i++) {
      const slot = await turn(buckets, urgent);
      slot.unused();
      slot.unused();
    }
    expect(await waits(buckets, urgent)).toBeLessThan(2_000);
  });

  it('counts a call until its window has passed since it arrived, not since it was sent', async () => {
    const one = bucket(1, 600);
    const { turn, call, times: sent } = start();
    const slot = await turn([one]);
    slot.sent();
    await clock.sleep(60);
    slot.ended();
    const endedAt = clock.monotonic();
    await call([one]);
    expect(sent[0]! - endedAt).toBeGreaterThanOrEqual(600);
    expect(sent[0]! - endedAt).toBeLessThan(1_100);
  });

  it('gives the place of who is never answered to the next one, a window after it must have arrived', async () => {
    const one = bucket(1, 500);
    const { turn, waits } = start();
    const silent = await turn([one]);
    silent.sent();
    expect(await waits([one])).toBeLessThan(2_000);
    silent.ended();
    expect(await waits([one])).toBeLessThan(2_000);
  });

  it('estimates at least nothing and at most what the wait takes', async () => {
    const one = bucket(4, 1_000);
    const { turns, call } = start();
    expect(turns.estimateMs([one], 2, '')).toBe(0);
    let answered = 0;
    const estimates: { estimateMs: number; waitedMs: Promise<number> }[] = [];
    for (let i = 0; i < 10; i++) {
      const estimateMs = turns.estimateMs([one], 2, '');
      const startedAt = clock.monotonic();
      const waitedMs = call([one]).then(() => (answered++, clock.monotonic() - startedAt));
      estimates.push({ estimateMs, waitedMs });
      await clock.sleep(60);
    }
    for (const { estimateMs, waitedMs } of estimates) expect(estimateMs).toBeLessThanOrEqual(await waitedMs);
    expect(answered).toBe(10);
    expect(estimates.at(-1)!.estimateMs).toBeGreaterThan(500);
  });

  it('forgets buckets that are free again, and keeps paused ones', async () => {
    const { limiter } = start();
    const paused = bucket(1, 1_000);
    limiter.pause([paused], 60_000);
    for (let i = 0; i < 998; i++) limiter.view([bucket(1, 100)]);
    expect(limiter.size).toBeGreaterThan(900);
    for (let i = 0; i < 1_000; i++) limiter.view([paused]);
    expect(limiter.size).toBe(1);
    expect(limiter.pausedMs([paused])).toBeGreaterThan(50_000);
  });

  it('lets those leave who wait, and serves the others', async () => {
    const one = bucket(5, 500);
    const { call, turns } = start();
    const outcomes: string[] = [];
    const waiting = times(20, (i) => {
      const leaving = new AbortController();
      if (i % 2 === 1) void clock.sleep(30).then(() => leaving.abort(new Error('left')));
      return call([one], { signal: leaving.signal }).then(
        () => outcomes.push('served'),
        () => outcomes.push('left'),
      );
    });
    await Promise.all(waiting);
    expect(outcomes.filter((what) => what === 'served').length).toBeGreaterThanOrEqual(10);
    expect(turns.queued([one])).toBe(0);
    expect([...turns.depth().values()].flat().every((count) => count === 0)).toBe(true);
  });

  it('gives back what nobody took when it closes', async () => {
    const one = bucket(8, 20_000);
    const { limiter, turns, turn, call } = start();
    await call([one], urgent);
    const gone = new AbortController();
    const waiting = times(12, () => turn([one], { signal: gone.signal, priority: 'backfill' }));
    const settled = Promise.allSettled(waiting);
    await clock.sleep(200);
    gone.abort(new Error('closing'));
    for (const result of await settled) if (result.status === 'fulfilled') result.value.unused();
    expect(turns.queued([one])).toBe(0);
    await limiter.close();
    const next = start();
    await next.limiter.refresh([one]);
    expect(next.limiter.view([one])!.remaining).toBeGreaterThanOrEqual(7);
    await limiter.close();
  });
});
