import { describe, expect, it } from 'vitest';
import type { Bucket, Call, Caller } from '../../src/calls/caller.ts';
import { createRateLimiter } from '../../src/calls/rateLimit.ts';
import { createSharedRateLimiter } from '../../src/calls/sharedRateLimit.ts';
import { manualClock } from '../support/manualClock.ts';
import { memoryRows } from '../support/memoryRows.ts';
import { play, thousand, type Step } from './played.ts';

// What a caller does with the limits, in memory or shared, and what it tells of them.

const one: Bucket = { key: 'one', limit: 1, windowMs: 10_000 };
/** How long a call that has arrived counts there. */
const heldMs = 10_007;

describe('a place in the limits', () => {
  const turnAfter = async (step: Step, more: Partial<Call> = {}) => {
    const { call, ending, script, times } = play();
    script(step, {});
    void call({ buckets: [one], retry: { attempts: 1 }, ...more }).catch(() => undefined);
    await ending(call({ buckets: [one] }), 30_000);
    return times().at(-1)!;
  };

  it.each<[string, Step, number]>([
    ['is held from an answer on', {}, 5],
    ['is held from the longest way of what left, for a slow answer', { afterMs: 6_000 }, 100],
    ['is held from the longest way of what left, where nothing was heard', { fails: 'NETWORK_ERROR' }, 100],
    ['is held from the end of what never left', { fails: 'NETWORK_ERROR', sent: false, afterMs: 600 }, 600],
    ['is held from the longest way of what left, for a bug of ours', { throws: new TypeError('ours') }, 100],
  ])('%s', async (_, step, fromMs) => {
    expect((await turnAfter(step)) - heldMs).toBe(fromMs);
  });

  it('is given back where the request cannot be made', async () => {
    const request = () => Promise.reject(new RangeError('ours'));
    expect(await turnAfter({}, { request })).toBe(0);
  });

  it('is asked for anew when making the request has taken too long', async () => {
    const clock = manualClock();
    const rows = memoryRows(clock, () => clock.now()).seenBy({ delayMs: () => 2, fate: () => 'fine' });
    const limiter = createSharedRateLimiter({ clock, rows, longestCallMs: 1_000 });
    const { call, ending, seen, reports } = play({ limiter }, clock);
    let made = 0;
    const slowlyAtFirst = async () => {
      await clock.sleep(made++ === 0 ? 20_000 : 0);
      return { method: 'GET' as const, url: `https://h/${made}`, headers: {} };
    };
    expect(await ending(call({ request: slowlyAtFirst }), 60_000)).toMatchObject({ status: 200 });
    expect(seen.map(({ request }) => request.url)).toEqual(['https://h/2']);
    expect(reports).toMatchObject([{ attempts: 1, outcome: 'OK' }]);
  });

  it('goes to nobody else before a pause that its answer asks for', async () => {
    const { call, ending, script, times } = play();
    script({ status: 429, headers: { 'retry-after': '60' } }, {});
    const atOnce: Bucket = { key: 'at once', limit: 1, windowMs: 0 };
    const calls = [1, 2, 3].map(() => call({ buckets: [atOnce] }));
    await ending(Promise.all(calls), 59_000);
    expect(times()).toEqual([0]);
    expect(await ending(Promise.all(calls), 2_000)).toHaveLength(3);
  });

  it('is one of the limiter that the caller was given', async () => {
    const clock = manualClock();
    const limiter = createRateLimiter(clock);
    const { call, ending } = play({ limiter }, clock);
    await ending(call(), 5);
    expect(limiter.view([thousand])?.remaining).toBe(999);
  });

  it('is given back when the caller closes, where it was only leased', async () => {
    const clock = manualClock();
    const kept = memoryRows(clock, () => clock.now());
    const rows = kept.seenBy({ delayMs: () => 2, fate: () => 'fine' });
    const limiter = createSharedRateLimiter({ clock, rows, longestCallMs: 1_000 });
    const { caller, call, ending } = play({ limiter }, clock);
    expect(await ending(call(), 100)).toMatchObject({ status: 200 });
    expect(await ending(caller.close(), 1_000)).toBeUndefined();
    expect(Object.keys(kept.rows.get('thousand')!.state.leased)).toEqual([]);
  });
});

describe('who asks the caller', () => {
  it('learns what is left, who waits and how long one more would', async () => {
    const { caller, call, ending } = play();
    await ending(call({ buckets: [one] }), 5);
    for (const priority of ['poll', 'poll', 'backfill'] as const)
      void call({ buckets: [one], priority }).catch(() => undefined);
    const { estimatedWaitMs, ...view } = caller.budget([one])!;
    expect(view).toMatchObject({ limit: 1, windowMs: 10_000, remaining: 0, queued: 3 });
    expect(estimatedWaitMs).toBeGreaterThan(39_000);
    expect(caller.budget([])).toBeUndefined();
    expect([...caller.queueDepth()]).toEqual([
      { integration: 'x', priority: 'interactive', waiting: 0 },
      { integration: 'x', priority: 'webhook', waiting: 0 },
      { integration: 'x', priority: 'poll', waiting: 2 },
      { integration: 'x', priority: 'backfill', waiting: 1 },
    ]);
    void caller.close();
  });

  it('learns what other processes used once the budgets are refreshed', async () => {
    const clock = manualClock();
    const kept = memoryRows(clock, () => clock.now());
    const start = () => {
      const rows = kept.seenBy({ delayMs: () => 2, fate: () => 'fine' });
      return play({ limiter: createSharedRateLimiter({ clock, rows, longestCallMs: 1_000 }) }, clock);
    };
    const [busy, asking] = [start(), start()];
    const slow: Bucket = { ...one, limit: 100 };
    const left = (caller: Caller) => caller.budget([slow])?.remaining;
    for (let i = 0; i < 20; i++) void busy.call({ buckets: [slow] });
    await clock.advance(3_000);
    expect(left(asking.caller)).toBe(100);
    expect(await asking.ending(asking.caller.refreshBudgets([slow]), 10)).toBeUndefined();
    expect(left(asking.caller)).toBe(80);
  });
});
