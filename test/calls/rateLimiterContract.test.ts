import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBudgetRows } from '../../src/calls/budgetRows.ts';
import { createRateLimiter, type RateLimiter } from '../../src/calls/rateLimit.ts';
import { createSharedRateLimiter } from '../../src/calls/sharedRateLimit.ts';
import type { Slot } from '../../src/calls/slots.ts';
import { createTurns, type Turns } from '../../src/calls/turns.ts';
import type { Bucket } from '../../src/calls/window.ts';
import { systemClock as clock } from '../../src/clock.ts';
import type { Database } from '../../src/db/database.ts';
import { postgresDatabase } from '../support/databases.ts';
import { stand, worstWindow, type Manner } from './standing.ts';

/** What every limiter promises, by the real clock: the one in memory, and the one that shares rows of PostgreSQL. */
describe.each(['in memory', 'on PostgreSQL'])('a rate limiter %s', (kind) => {
  let database: Database | undefined;
  let limiter: RateLimiter;
  let turns: Turns;
  beforeEach(async () => {
    database = kind === 'in memory' ? undefined : await postgresDatabase();
    limiter = database
      ? createSharedRateLimiter({ clock, rows: createBudgetRows(database.db), longestCallMs: 1_000 })
      : createRateLimiter(clock);
    turns = createTurns(clock, limiter, { perBucket: 1_000, total: 1_000 });
  });
  afterEach(async () => {
    await limiter.close();
    await database?.close();
  });

  const bucket = (name: string, limit: number, windowMs = 400): Bucket => ({ key: name, limit, windowMs });
  const go = (buckets: readonly Bucket[], manner: Manner = { priority: 'interactive' }) =>
    stand(turns, buckets, manner);
  const use = async (buckets: readonly Bucket[], manner?: Manner): Promise<number> => {
    const slot = await go(buckets, manner);
    slot.sent();
    const at = clock.monotonic();
    slot.ended();
    return at;
  };
  const remaining = async (one: Bucket) => {
    await limiter.refresh([one]);
    return limiter.view([one])?.remaining;
  };

  it('lets no window see more than its limit, and uses nearly all of it', async () => {
    const buckets = [bucket('a', 8), bucket('b', 14, 800)];
    const startedAt = clock.monotonic();
    const times: number[] = [];
    const one = async () => {
      while (clock.monotonic() - startedAt < 2_400) times.push(await use(buckets, { priority: 'poll' }));
    };
    await Promise.all(Array.from({ length: 20 }, one));
    times.sort((a, b) => a - b);
    expect(worstWindow(times, 400)).toBeLessThanOrEqual(8);
    expect(worstWindow(times, 800)).toBeLessThanOrEqual(14);
    expect(times.filter((at) => at < startedAt + 2_400).length).toBeGreaterThan(0.8 * 3 * 14);
  });

  it('takes one of each bucket or none, and has back what is not used', async () => {
    const [wide, narrow] = [bucket('wide', 100, 60_000), bucket('narrow', 1, 60_000)];
    const first = await go([wide, narrow]);
    const leaving = new AbortController();
    const second = go([wide, narrow], { priority: 'interactive', signal: leaving.signal });
    await clock.sleep(100);
    leaving.abort(new Error('left'));
    await expect(second).rejects.toThrow('left');
    expect(await remaining(wide)).toBe(99);
    first.unused();
    await expect.poll(() => remaining(wide), { timeout: 3_000 }).toBe(100);
    expect(await remaining(narrow)).toBe(1);
  });

  it('counts calls under way where the window is 0', async () => {
    const cap = bucket('cap', 2, 0);
    const held: Slot[] = [await go([cap]), await go([cap])];
    for (const slot of held) slot.sent();
    let third: Slot | undefined;
    void go([cap]).then((slot) => (third = slot));
    await clock.sleep(400);
    expect(third).toBeUndefined();
    held[0]!.ended();
    await expect.poll(() => third !== undefined, { timeout: 2_000 }).toBe(true);
    third!.ended();
    held[1]!.ended();
  });

  it('holds everybody back while it is paused, for the longest that was said', async () => {
    const one = bucket('paused', 100);
    await use([one]);
    const startedAt = clock.monotonic();
    limiter.pause([one], 600);
    limiter.pause([one], 100);
    expect(limiter.pausedMs([one])).toBeGreaterThan(500);
    expect(await use([one])).toBeGreaterThanOrEqual(startedAt + 600);
    expect(limiter.pausedMs([one])).toBe(0);
  });

  it('believes a header that says that less is left, and none that says more', async () => {
    const one = bucket('learnt', 50, 60_000);
    await use([one]);
    limiter.learn([one], [{ limit: 50, remaining: 50 }]);
    expect(await remaining(one)).toBe(49);
    limiter.learn([one], [{ limit: 50, remaining: 3, resetMs: 60_000 }]);
    await expect.poll(() => remaining(one), { timeout: 2_000 }).toBe(3);
    expect(limiter.estimateMs([one], () => 10)).toBeGreaterThan(10_000);
  });

  it('wakes who waits, in turn, and forgets who left', async () => {
    const one = bucket('line', 4);
    const order: string[] = [];
    const leaving = new AbortController();
    const calls = ['a', 'b', 'a', 'b', 'a', 'b', 'a', 'b'].map((who, i) =>
      go([one], { priority: 'poll', who, ...(i === 2 && { signal: leaving.signal }) }).then(
        (slot) => {
          order.push(who);
          slot.ended();
        },
        () => {},
      ),
    );
    leaving.abort(new Error('left'));
    await Promise.all(calls);
    expect(order).toHaveLength(7);
    expect(Math.abs(order.slice(0, 4).filter((who) => who === 'a').length - 2)).toBeLessThanOrEqual(1);
    expect(turns.queued([one])).toBe(0);
  });
});
