import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { priorities } from '../../src/calls/fairQueue.ts';
import { createRateLimiter } from '../../src/calls/rateLimit.ts';
import type { Learnt } from '../../src/calls/rateLimitHeaders.ts';
import type { Bucket } from '../../src/calls/window.ts';
import { manualClock } from '../support/manualClock.ts';
import { openTurns, stand, worstWindow } from './standing.ts';

const interactive = 0;
const bulk = 3;
const second: Bucket = { key: 'second', limit: 10, windowMs: 1_000 };
const minute: Bucket = { key: 'minute', limit: 50, windowMs: 60_000 };

const open = () => {
  const clock = manualClock();
  const limiter = createRateLimiter(clock);
  /** Takes as many as may go now; each has arrived at once. */
  const takeAll = (buckets: readonly Bucket[], level = interactive) => {
    let taken = 0;
    for (let slot = limiter.take(buckets, level, false); slot; slot = limiter.take(buckets, level, false)) {
      slot.ended();
      taken++;
    }
    return taken;
  };
  return { clock, limiter, takeAll };
};

describe('a budget', () => {
  it('lets a quarter go at once when that is urgent, spreads the rest, and is full after a window', async () => {
    const { clock, takeAll } = open();
    const times: number[] = [];
    while (clock.monotonic() < 1_000) {
      for (let n = takeAll([second]); n > 0; n--) times.push(clock.monotonic());
      await clock.advance(1);
    }
    expect(times.filter((at) => at === 0)).toHaveLength(3);
    expect(times).toHaveLength(10);
    for (const [i, at] of times.slice(3).entries()) expect(at - times[i + 2]!).toBeCloseTo(100, 0);
    expect(takeAll([second])).toBe(0);
  });

  it('lets webhooks run ahead as interactive calls do, and polls less', () => {
    expect(open().takeAll([second], 1)).toBe(3);
    expect(open().takeAll([second], 2)).toBe(2);
  });

  it('keeps that quarter for the urgent while others use the rest', async () => {
    const { clock, takeAll } = open();
    const hundred = { key: 'hundred', limit: 100, windowMs: 1_000 };
    let used = 0;
    for (let at = 0; at < 500; at += 10) {
      used += takeAll([hundred], bulk);
      await clock.advance(10);
    }
    expect(used).toBeGreaterThan(50);
    expect(used).toBeLessThan(65);
    expect(takeAll([hundred], bulk)).toBeLessThanOrEqual(1);
    expect(takeAll([hundred], interactive)).toBeGreaterThan(12);
  });

  it('is taken from all of a call’s buckets or from none', async () => {
    const { limiter, takeAll } = open();
    takeAll([second]);
    const before = limiter.view([minute])?.remaining;
    expect(limiter.take([minute, second], interactive, false)).toBeUndefined();
    expect(limiter.view([minute])?.remaining).toBe(before);
  });

  it('holds a place until the answer proves that the call has arrived, but no longer than it can be under way', async () => {
    const { clock, limiter } = open();
    const one: Bucket = { key: 'one', limit: 1, windowMs: 1_000 };
    const quick = limiter.take([one], interactive, false)!;
    quick.sent();
    await clock.advance(40);
    quick.ended();
    await clock.advance(1_000);
    expect(limiter.waitMs([one], interactive)).toBeGreaterThan(0);
    await clock.advance(10);
    const slow = limiter.take([one], interactive, false)!;
    slow.sent();
    await clock.advance(1_101);
    expect(limiter.waitMs([one], interactive)).toBeCloseTo(4, 0);
    await clock.advance(5);
    expect(limiter.take([one], interactive, false)).toBeDefined();
    slow.ended();
  });

  it('is asked for a place as well as for the wait, with nobody to tell that a call has arrived', async () => {
    const { clock, limiter } = open();
    const one: Bucket = { key: 'one', limit: 1, windowMs: 1_000 };
    limiter.take([one], interactive, false)!.sent();
    await clock.advance(1_104);
    expect(limiter.estimateMs([one], () => 0)).toBeCloseTo(1.2, 1);
    await clock.advance(2);
    const next = limiter.take([one], interactive, false)!;
    next.sent();
    await clock.advance(1_106);
    expect(limiter.take([one], interactive, false)).toBeDefined();
  });

  it('holds a place of a call that waits for its line as long as that takes', async () => {
    const { clock, limiter } = open();
    const one: Bucket = { key: 'one', limit: 1, windowMs: 100 };
    const slot = limiter.take([one], interactive, false)!;
    await clock.advance(5_000);
    expect(limiter.take([one], interactive, false)).toBeUndefined();
    slot.sent();
    slot.ended();
    await clock.advance(106);
    expect(limiter.take([one], interactive, false)).toBeDefined();
  });

  it('holds a place of a call that was cut off as long as it can be under way', async () => {
    const { clock, limiter } = open();
    const one: Bucket = { key: 'one', limit: 1, windowMs: 1_000 };
    const cut = limiter.take([one], interactive, false)!;
    cut.sent();
    await clock.advance(30);
    cut.ended(false);
    await clock.advance(1_100 - 30);
    expect(limiter.take([one], interactive, false)).toBeUndefined();
    await clock.advance(6);
    expect(limiter.take([one], interactive, false)).toBeDefined();
  });

  it('has back what was not used', () => {
    const { limiter } = open();
    const slots = Array.from({ length: 3 }, () => limiter.take([second, minute], interactive, false)!);
    for (const slot of slots) slot.unused();
    for (const slot of slots) slot.ended();
    expect(limiter.view([second])?.remaining).toBe(10);
    expect(limiter.view([minute])?.remaining).toBe(50);
  });

  it('counts those under way at one time where the window is 0', async () => {
    const { clock, limiter, takeAll } = open();
    const three: Bucket = { key: 'three', limit: 3, windowMs: 0 };
    const slots = Array.from({ length: 3 }, () => limiter.take([three], bulk, false)!);
    await clock.advance(60_000);
    expect(limiter.take([three], interactive, false)).toBeUndefined();
    slots[0]!.ended();
    expect(limiter.take([three], interactive, false)).toBeDefined();
    slots[1]!.unused();
    slots[2]!.ended();
    expect(takeAll([three, minute])).toBeGreaterThan(3);
  });

  it('holds everybody back while paused, and never shortens a pause', async () => {
    const { clock, limiter } = open();
    await clock.advance(5_000);
    limiter.waitMs([second], interactive);
    expect([limiter.pausedMs([second]), limiter.pausedMs([minute])]).toEqual([0, 0]);
    limiter.pause([second], 60_000);
    limiter.pause([second], 1_000);
    expect(limiter.waitMs([second], interactive)).toBe(60_000);
    expect(limiter.pausedMs([minute, second])).toBe(60_000);
    expect(limiter.view([second])).toMatchObject({ remaining: 0, pausedUntilMs: clock.now() + 60_000 });
    await clock.advance(60_000);
    expect(limiter.take([second], interactive, false)).toBeDefined();
  });

  it('shows the window with the fewest calls left', () => {
    const { limiter } = open();
    const capped = [minute, second, { key: 'cap', limit: 1, windowMs: 0 }];
    expect(limiter.view(capped)).toMatchObject({ limit: 10, remaining: 10, resetsAtMs: undefined });
    for (let i = 0; i < 3; i++) limiter.take([minute, second], interactive, false)!.ended();
    for (const order of [
      [minute, second],
      [second, minute],
    ])
      expect(limiter.view(order)).toMatchObject({ limit: 10, remaining: 7 });
    expect(limiter.view([])).toBeUndefined();
  });

  it('shows by the wall clock when it is wholly free again', async () => {
    const { clock, limiter } = open();
    await clock.advance(5_000);
    limiter.take([second], interactive, false)!.ended();
    expect(limiter.view([second])?.resetsAtMs).toBeCloseTo(clock.now() + 1_005.2, 0);
  });

  it('forgets buckets that are free again, and keeps paused ones', async () => {
    const { clock, limiter } = open();
    limiter.pause([minute], 900_000);
    for (let i = 0; i < 50_000; i++)
      limiter.take([{ ...second, key: `account ${i}` }], interactive, false)!.ended();
    expect(limiter.size).toBe(50_001);
    await clock.advance(1_100);
    for (let i = 0; i < 1_000; i++) limiter.waitMs([second], interactive);
    expect(limiter.size).toBeLessThanOrEqual(2);
    expect(limiter.pausedMs([minute])).toBeGreaterThan(0);
  });

  it('goes on with calls under way when its limit is another one from now on', async () => {
    const { clock, limiter } = open();
    const slot = limiter.take([second], interactive, false)!;
    const wider = { ...second, limit: 20 };
    expect(limiter.view([wider])?.remaining).toBe(19);
    slot.sent();
    slot.ended();
    await clock.advance(2_000);
    expect(limiter.view([wider])).toMatchObject({ remaining: 20, resetsAtMs: undefined });
    expect(limiter.view([{ ...wider, windowMs: 5_000 }])).toMatchObject({ windowMs: 5_000 });
  });
});

describe('what an answer says of the limits', () => {
  it.each([
    ['less by limit', { limit: 10, remaining: 2 }, 2],
    ['nothing left', { remaining: 0, resetMs: 800 }, 0],
    ['less by window', { windowMs: 1_000, remaining: 4 }, 4],
    ['more', { limit: 10, remaining: 10 }, 9],
    ['as much', { limit: 10, remaining: 9 }, 9],
  ])('corrects us at once when it is less, and only then: %s', (_, learnt, remaining) => {
    const { limiter } = open();
    limiter.take([second], interactive, false)!.ended();
    limiter.learn([second], [learnt]);
    expect(limiter.view([second])?.remaining).toBe(remaining);
  });

  it('is meant for the bucket with its numbers, or the nearest that can hold its reset', () => {
    const { limiter } = open();
    const left = (bucket: Bucket) => limiter.view([bucket])?.remaining;
    limiter.learn([second, minute], [{ limit: 50, remaining: 20 }]);
    expect([left(second), left(minute)]).toEqual([10, 20]);
    limiter.learn([second, minute], [{ remaining: 6, resetMs: 500 }]);
    expect([left(second), left(minute)]).toEqual([6, 20]);
    limiter.learn([second, minute], [{ remaining: 3, resetMs: 30_000 }]);
    expect([left(second), left(minute)]).toEqual([6, 3]);
    limiter.learn([], [{ remaining: 0 }]);
  });

  it.each<[string, Learnt, meant: string]>([
    ['the same numbers', { windowMs: 60_000, limit: 500, remaining: 1 }, 'calls'],
    ['the same numbers, of which others have one', { windowMs: 3_600_000, limit: 10, remaining: 1 }, 'hour'],
    ['the window alone', { windowMs: 60_000, limit: 999, remaining: 1 }, 'minute'],
    ['a window that is shorter than most', { windowMs: 1_000, limit: 99, remaining: 1 }, 'second'],
    ['our limit of another window', { windowMs: 5_000, limit: 10, remaining: 1 }, 'minute'],
    ['nothing', { remaining: 1 }, 'second'],
    ['a reset', { remaining: 1, resetMs: 60_001 }, 'hour'],
    ['a reset that is longer than all', { remaining: 1, resetMs: 90_000_000 }, 'hour'],
  ])('speaks of one limit of several, never of calls under way: %s', (_, learnt, meant) => {
    const { limiter } = open();
    const calls: Bucket = { key: 'calls', limit: 500, windowMs: 60_000 };
    const hour: Bucket = { key: 'hour', limit: 10, windowMs: 3_600_000 };
    const cap: Bucket = { key: 'cap', limit: 10, windowMs: 0 };
    const all = [cap, minute, second, calls, hour];
    limiter.learn(all, [learnt]);
    const tight = all.filter((bucket) => limiter.view([bucket])?.remaining === 1);
    expect(tight.map(({ key }) => key)).toEqual([meant]);
  });

  it('is counted until the reset that it names, and once however many say it', async () => {
    const { clock, limiter } = open();
    for (let i = 0; i < 5; i++) limiter.learn([second], [{ limit: 10, remaining: 1, resetMs: 700 }]);
    expect(limiter.view([second])?.remaining).toBe(1);
    await clock.advance(690);
    expect(limiter.view([second])?.remaining).toBe(1);
    await clock.advance(20);
    expect(limiter.view([second])?.remaining).toBe(10);
  });
});

describe('random traffic', () => {
  const buckets: Bucket[] = [
    { key: 'app', limit: 9, windowMs: 1_000 },
    { key: 'account', limit: 5, windowMs: 3_000 },
    { key: 'short', limit: 3, windowMs: 100 },
    { key: 'cap', limit: 2, windowMs: 0 },
  ];
  const arrival = fc.record({
    afterMs: fc.integer({ min: 0, max: 400 }),
    of: fc.subarray(buckets, { minLength: 1 }),
    priority: fc.constantFrom('interactive', 'webhook', 'poll', 'backfill'),
    who: fc.constantFrom('a', 'b', 'c'),
    calls: fc.integer({ min: 1, max: 8 }),
    /** Connecting, then on its way, then answered. */
    connectMs: fc.integer({ min: 0, max: 300 }),
    transitMs: fc.integer({ min: 0, max: 90 }),
    answerMs: fc.integer({ min: 0, max: 500 }),
    leavesAfterMs: fc.option(fc.integer({ min: 0, max: 3_000 }), { nil: undefined }),
    unused: fc.boolean(),
    pauseMs: fc.constantFrom(0, 0, 0, 0, 2_500),
    learnt: fc.constantFrom(undefined, undefined, { remaining: 1, resetMs: 900 }, { limit: 5, remaining: 0 }),
    stepMs: fc.constantFrom(0, 0, 0, 3_600_000, -3_600_000),
  });

  it('is never over a limit where it arrives, loses nobody and leaves nothing behind', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(arrival, { minLength: 1, maxLength: 20 }), async (arrivals) => {
        const { clock, limiter, turns } = openTurns();
        const arrived = new Map<string, number[]>(buckets.map(({ key }) => [key, []]));
        let open = 0;
        let underWay = 0;
        let mostUnderWay = 0;
        for (const one of arrivals) {
          await clock.advance(one.afterMs);
          if (one.stepMs !== 0) clock.setNow(clock.now() + one.stepMs);
          if (one.pauseMs > 0) limiter.pause([one.of[0]!], one.pauseMs);
          if (one.learnt) limiter.learn(one.of, [one.learnt]);
          for (let i = 0; i < one.calls; i++) {
            const leaving = new AbortController();
            if (one.leavesAfterMs !== undefined)
              clock.timer(one.leavesAfterMs, () => leaving.abort(new Error('left')));
            open++;
            const capped = one.of.some(({ key }) => key === 'cap');
            void stand(turns, one.of, { ...one, signal: leaving.signal } as never).then(
              async (slot) => {
                open--;
                if (one.unused) return slot.unused();
                if (capped) mostUnderWay = Math.max(mostUnderWay, ++underWay);
                await clock.sleep(one.connectMs);
                slot.sent();
                await clock.sleep(one.transitMs);
                for (const { key } of one.of) arrived.get(key)!.push(clock.monotonic());
                await clock.sleep(one.answerMs);
                if (capped) underWay--;
                slot.ended();
              },
              () => void open--,
            );
          }
        }
        await clock.advance(300_000);
        expect(open).toBe(0);
        expect(mostUnderWay).toBeLessThanOrEqual(2);
        for (const bucket of buckets) {
          const worst = bucket.windowMs > 0 ? worstWindow(arrived.get(bucket.key)!, bucket.windowMs) : 0;
          expect(worst).toBeLessThanOrEqual(bucket.limit);
          expect(turns.queued([bucket])).toBe(0);
        }
        expect(limiter.view(buckets)).toMatchObject({ remaining: 3, limit: 3, resetsAtMs: undefined });
        expect(clock.sleeping()).toBe(0);
      }),
      { numRuns: 40, seed: 20261123 },
    );
  });

  it('is never over a limit where it arrives, whatever the limits are, and serves all who stay', async () => {
    const budget = fc.record({
      limit: fc.integer({ min: 1, max: 40 }),
      windowMs: fc.constantFrom(100, 700, 1_000, 5_000, 60_000),
    });
    const crowd = fc.record({
      afterMs: fc.integer({ min: 0, max: 1_500 }),
      calls: fc.integer({ min: 1, max: 40 }),
      of: fc.integer({ min: 1, max: 15 }),
      priority: fc.constantFrom(...priorities),
      connectMs: fc.constantFrom(0, 0, 5, 400),
      transitMs: fc.integer({ min: 0, max: 99 }),
      answerMs: fc.constantFrom(0, 10, 1_500),
      leavesAfterMs: fc.option(fc.integer({ min: 0, max: 20_000 }), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(budget, { minLength: 3, maxLength: 3 }),
        fc.integer({ min: 1, max: 5 }),
        fc.array(crowd, { minLength: 1, maxLength: 6 }),
        async (limits, cap, crowds) => {
          const { clock, turns, limiter } = openTurns();
          const all: Bucket[] = [
            ...limits.map((one, i) => ({ key: `${i}`, ...one })),
            { key: 'cap', limit: cap, windowMs: 0 },
          ];
          const arrived = new Map<string, number[]>(all.map(({ key }) => [key, []]));
          const underWay = { now: 0, most: 0 };
          const outcomes: string[] = [];
          for (const one of crowds) {
            await clock.advance(one.afterMs);
            const of = all.filter((_, i) => (one.of >> i) % 2 === 1);
            const capped = of.some(({ windowMs }) => windowMs === 0);
            for (let i = 0; i < one.calls; i++) {
              const leaving = new AbortController();
              if (one.leavesAfterMs !== undefined)
                clock.timer(one.leavesAfterMs, () => leaving.abort(new Error('left')));
              const manner = { priority: one.priority, who: `${i % 3}`, signal: leaving.signal };
              void stand(turns, of, manner).then(
                async (slot) => {
                  outcomes.push('served');
                  if (capped) underWay.most = Math.max(underWay.most, ++underWay.now);
                  await clock.sleep(one.connectMs);
                  slot.sent();
                  // One after the other: a line keeps no order, but the delay is each one's own.
                  await clock.sleep((one.transitMs * (i % 5)) / 4);
                  for (const { key } of of) arrived.get(key)!.push(clock.monotonic());
                  await clock.sleep(one.answerMs);
                  if (capped) underWay.now--;
                  slot.ended();
                },
                () => void outcomes.push('left'),
              );
            }
          }
          const staying = crowds.filter((one) => one.leavesAfterMs === undefined);
          const least = staying.reduce((sum, { calls }) => sum + calls, 0);
          await clock.advance(20_000_000);
          expect(outcomes).toHaveLength(crowds.reduce((sum, { calls }) => sum + calls, 0));
          expect(outcomes.filter((one) => one === 'served').length).toBeGreaterThanOrEqual(least);
          expect(underWay.most).toBeLessThanOrEqual(cap);
          for (const { key, limit, windowMs } of all.slice(0, 3)) {
            const times = arrived.get(key)!.toSorted((a, b) => a - b);
            expect(worstWindow(times, windowMs)).toBeLessThanOrEqual(limit);
          }
          for (const one of all) expect(limiter.view([one])?.resetsAtMs).toBeUndefined();
          expect(clock.sleeping()).toBe(0);
        },
      ),
      { numRuns: 60, seed: 20261123 },
    );
  });

  it('rises after a rest by a quarter of the limit, and from then on no faster than the spread', async () => {
    const bucketOf = fc.record({
      limit: fc.integer({ min: 1, max: 300 }),
      windowMs: fc.constantFrom(1_000, 5_000, 60_000),
    });
    const waves = fc.array(
      fc.record({ afterMs: fc.integer({ min: 0, max: 3_000 }), calls: fc.integer({ min: 1, max: 100 }) }),
      { minLength: 1, maxLength: 5 },
    );
    await fc.assert(
      fc.asyncProperty(bucketOf, waves, async (size, crowds) => {
        const { clock, turns } = openTurns();
        const bucket = { key: 'paced', ...size };
        const times: number[] = [];
        for (const { afterMs, calls } of crowds) {
          await clock.advance(afterMs);
          for (let i = 0; i < calls; i++)
            void stand(turns, [bucket], { priority: 'interactive' }).then((slot) => {
              times.push(clock.monotonic());
              slot.ended();
            });
        }
        await clock.advance(600_000);
        // A tenth of the window, and what a busy event loop may make up for.
        const spread = Math.ceil((size.limit * (size.windowMs / 10 + 100)) / size.windowMs);
        expect(worstWindow(times, size.windowMs / 10)).toBeLessThanOrEqual(
          Math.ceil(size.limit / 4) + spread,
        );
      }),
      { numRuns: 60, seed: 20261123 },
    );
  });

  it('uses nearly all of the limit under overload, urgent or not', async () => {
    for (const priority of ['interactive', 'backfill'] as const) {
      const { clock, turns } = openTurns();
      let served = 0;
      for (let i = 0; i < 1_000; i++)
        void stand(turns, [second], { priority }).then((slot) => {
          served++;
          slot.ended();
        });
      await clock.advance(60_000);
      expect(served).toBeGreaterThanOrEqual(590);
      expect(served).toBeLessThanOrEqual(610);
    }
  });
});
