import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRateLimiter, type Bucket } from '../../src/calls/rateLimit.ts';
import { createTurns } from '../../src/calls/turns.ts';
import { manualClock } from '../support/manualClock.ts';

const second: Bucket = { key: 'second', limit: 10, windowMs: 1_000 };
const minute: Bucket = { key: 'minute', limit: 50, windowMs: 60_000 };
const never = new AbortController().signal;
/** Of a breaker that is closed. */
const free = { refusal: () => undefined, enter: () => undefined };
const open = { perBucket: 100_000, total: 100_000 };

/** The most calls in any window of `windowMs`, wherever it starts. */
function worstWindow(times: readonly number[], windowMs: number): number {
  let worst = 0;
  for (let first = 0, last = 0; last < times.length; last++) {
    while (times[last]! - times[first]! >= windowMs) first++;
    worst = Math.max(worst, last - first + 1);
  }
  return worst;
}

describe('the rate limiter', () => {
  it('lets the limit through at once, and the next one when the first has left the window', () => {
    const clock = manualClock();
    const limiter = createRateLimiter(clock);
    for (let i = 0; i < 10; i++) expect(limiter.take([second])).toBe(0);
    expect(limiter.take([second])).toBeGreaterThan(1_000);
    expect(limiter.take([second])).toBeLessThan(1_100);
  });

  it('takes all of a call’s buckets or none', async () => {
    const clock = manualClock();
    const limiter = createRateLimiter(clock);
    for (let i = 0; i < 10; i++) limiter.take([second]);
    expect(limiter.take([minute, second])).toBeGreaterThan(0);
    expect(limiter.view([minute])?.remaining).toBe(50);
  });

  it('holds everybody back while paused, and never shortens a pause', async () => {
    const clock = manualClock();
    const limiter = createRateLimiter(clock);
    limiter.pause([second], 60_000);
    limiter.pause([second], 1_000);
    expect(limiter.take([second])).toBe(60_000);
    expect(limiter.view([second])).toMatchObject({ remaining: 0, pausedUntilMs: clock.now() + 60_000 });
    await clock.advance(60_000);
    expect(limiter.take([second])).toBe(0);
  });

  it('shows the bucket with the fewest calls left', () => {
    const limiter = createRateLimiter(manualClock());
    expect(limiter.view([minute, second])).toMatchObject({ limit: 10, remaining: 10, resetsAtMs: undefined });
    for (let i = 0; i < 3; i++) limiter.take([minute, second]);
    expect(limiter.view([minute, second])).toMatchObject({ limit: 10, remaining: 7 });
    expect(limiter.view([])).toBeUndefined();
  });

  it('forgets buckets that are free again, and keeps paused ones', async () => {
    const clock = manualClock();
    const limiter = createRateLimiter(clock);
    limiter.pause([minute], 900_000);
    for (let i = 0; i < 999; i++) limiter.take([{ ...second, key: `account ${i}` }]);
    expect(limiter.size).toBe(1_000);
    await clock.advance(1_100);
    for (let i = 0; i < 2; i++) limiter.take([second]);
    expect(limiter.size).toBe(2);
    expect(limiter.pausedMs([minute])).toBeGreaterThan(0);
  });

  it('is never over any limit, whatever arrives, leaves or steps the clock, and serves everybody who stays', async () => {
    const arrival = fc.record({
      afterMs: fc.integer({ min: 0, max: 300 }),
      calls: fc.integer({ min: 1, max: 15 }),
      cancelEvery: fc.integer({ min: 2, max: 5 }),
      stepMs: fc.constantFrom(0, 0, 0, 3_600_000, -3_600_000),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(arrival, { minLength: 1, maxLength: 12 }), async (arrivals) => {
        const clock = manualClock();
        const turns = createTurns(clock, createRateLimiter(clock), open);
        const times: number[] = [];
        let waiting = 0;
        for (const { afterMs, calls, cancelEvery, stepMs } of arrivals) {
          await clock.advance(afterMs);
          if (stepMs !== 0) clock.setNow(clock.now() + stepMs);
          for (let i = 1; i <= calls; i++) {
            const leaving = new AbortController();
            waiting++;
            void turns.wait([second, minute], 'poll', leaving.signal, free).then(
              () => {
                waiting--;
                times.push(clock.monotonic());
              },
              () => waiting--,
            );
            if (i % cancelEvery === 0) leaving.abort(new Error('left'));
          }
        }
        await clock.advance(600_000);
        expect(worstWindow(times, second.windowMs)).toBeLessThanOrEqual(second.limit);
        expect(worstWindow(times, minute.windowMs)).toBeLessThanOrEqual(minute.limit);
        expect(waiting).toBe(0);
      }),
      { numRuns: 60, seed: 20261123 },
    );
  });

  it('uses nearly all of the limit under overload', async () => {
    const clock = manualClock();
    const turns = createTurns(clock, createRateLimiter(clock), open);
    let served = 0;
    for (let i = 0; i < 1_000; i++) void turns.wait([second], 'poll', never, free).then(() => served++);
    await clock.advance(60_000);
    expect(served).toBeGreaterThanOrEqual(585);
    expect(served).toBeLessThanOrEqual(610);
  });
});

describe('a turn', () => {
  it('goes to the higher priority first, and to backfill within 15 s of endless higher calls', async () => {
    const clock = manualClock();
    const turns = createTurns(clock, createRateLimiter(clock), open);
    const bucket: Bucket = { key: 'slow', limit: 1, windowMs: 1_000 };
    const order: string[] = [];
    const wait = (name: string, priority: 'interactive' | 'backfill' | 'poll' | 'webhook') =>
      void turns.wait([bucket], priority, never, free).then(() => order.push(name));
    wait('first', 'poll');
    wait('backfill', 'backfill');
    wait('poll', 'poll');
    wait('webhook', 'webhook');
    wait('interactive', 'interactive');
    await clock.advance(4_500);
    expect(order).toEqual(['first', 'interactive', 'webhook', 'poll', 'backfill']);

    order.length = 0;
    wait('backfill', 'backfill');
    for (let i = 0; i < 40; i++) {
      for (let n = 0; n < 2; n++) wait('interactive', 'interactive');
      await clock.advance(1_000);
    }
    // It arrived when nobody waited, so only those of its first 15 s may pass it: two for each served second.
    expect(order.indexOf('backfill')).toBeGreaterThan(5);
    expect(order.indexOf('backfill')).toBeLessThanOrEqual(32);
  });

  it('leaves at once when cancelled, and costs nothing', async () => {
    const clock = manualClock();
    const limiter = createRateLimiter(clock);
    const turns = createTurns(clock, limiter, open);
    const bucket: Bucket = { key: 'slow', limit: 1, windowMs: 1_000 };
    await turns.wait([bucket], 'poll', never, free);
    const leaving = new AbortController();
    const cancelled = turns.wait([bucket], 'interactive', leaving.signal, free);
    let served = false;
    void turns.wait([bucket], 'backfill', never, free).then(() => (served = true));
    expect(turns.queued([bucket])).toBe(2);
    leaving.abort(new Error('left'));
    await expect(cancelled).rejects.toThrow('left');
    expect(turns.queued([bucket])).toBe(1);
    await clock.advance(1_100);
    expect(served).toBe(true);
  });

  it('is estimated and bounded', async () => {
    const clock = manualClock();
    const turns = createTurns(clock, createRateLimiter(clock), { perBucket: 25, total: 30 });
    const other: Bucket = { key: 'other', limit: 1, windowMs: 1_000 };
    for (let i = 0; i < 35; i++) void turns.wait([second], 'poll', never, free);
    expect(turns.hasRoom([second])).toBe(false);
    expect(turns.estimateMs([second], 'poll')).toBeGreaterThanOrEqual(3_000);
    expect(turns.hasRoom([other])).toBe(true);
    for (let i = 0; i < 6; i++) void turns.wait([other], 'poll', never, free);
    expect(turns.hasRoom([other])).toBe(false);
    await clock.advance(10_000);
    expect(turns.queued([second])).toBe(0);
  });
});
