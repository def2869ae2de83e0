import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Priority } from '../../src/calls/priorityQueue.ts';
import { createRateLimiter, type Bucket } from '../../src/calls/rateLimit.ts';
import { createTurns } from '../../src/calls/turns.ts';
import { manualClock } from '../support/manualClock.ts';

const app: Bucket = { key: 'app', limit: 1, windowMs: 1_000 };
const realm = (name: string, limit = 100): Bucket => ({ key: name, limit, windowMs: 1_000 });
const never = new AbortController().signal;

function start(bounds = { perBucket: 100_000, total: 100_000 }) {
  const clock = manualClock();
  const limiter = createRateLimiter(clock);
  const turns = createTurns(clock, limiter, bounds);
  const order: string[] = [];
  const wait = (
    name: string,
    buckets: Bucket[],
    priority: Priority = 'poll',
    more: { signal?: AbortSignal; refusal?: () => Error | undefined } = {},
  ) =>
    turns
      .wait(buckets, priority, more.signal ?? never, {
        refusal: more.refusal ?? (() => undefined),
        enter: () => order.push(name),
      })
      .catch((error: Error) => order.push(`${name}: ${error.message}`));
  return { clock, limiter, turns, order, wait };
}

describe('lines that share a bucket', () => {
  it('serves the higher priority first, whichever line it stands in', async () => {
    const { clock, order, wait } = start();
    void wait('first', [app, realm('a')]);
    void wait('backfill', [app, realm('b')], 'backfill');
    void wait('interactive', [realm('c'), app], 'interactive');
    await clock.advance(3_000);
    expect(order).toEqual(['first', 'interactive', 'backfill']);
  });

  it('is not held up by a line that waits for another bucket', async () => {
    const { clock, limiter, order, wait } = start();
    limiter.pause([realm('paused')], 60_000);
    void wait('paused', [app, realm('paused')], 'interactive');
    void wait('free', [app, realm('free')], 'backfill');
    await clock.advance(0);
    expect(order).toEqual(['free']);
    await clock.advance(60_000);
    expect(order).toEqual(['free', 'paused']);
  });

  it('bounds those who wait for a bucket over all its lines', () => {
    const { turns, wait } = start({ perBucket: 10, total: 100 });
    for (let i = 0; i < 11; i++) void wait('', [app, realm(`realm ${i}`)]);
    expect(turns.queued([realm('other'), app])).toBe(10);
    expect(turns.hasRoom([app, realm('other')])).toBe(false);
    expect(turns.hasRoom([realm('other')])).toBe(true);
  });

  it('leaves no timer behind when the last one goes away', async () => {
    const { clock, limiter, wait } = start();
    limiter.pause([app], 900_000);
    for (let i = 0; i < 3; i++) {
      const leaving = new AbortController();
      void wait('', [app], 'poll', { signal: leaving.signal });
      expect(clock.sleeping()).toBe(1);
      leaving.abort(new Error('left'));
      expect(clock.sleeping()).toBe(0);
    }
    await clock.advance(0);
  });

  it('keeps a line that fills again just before its planned look', async () => {
    const { clock, turns, wait } = start();
    const pair = { ...app, limit: 2 };
    // Due at the same time as the planned look, and before it.
    void clock.sleep(1_005).then(() => {
      for (let i = 0; i < 4; i++) void wait('late', [pair]);
    });
    for (let i = 0; i < 3; i++) void wait('early', [pair]);
    await clock.advance(1_005);
    expect(turns.queued([pair])).toBe(3);
  });

  it('is never over a limit and loses nobody, whatever arrives and leaves', async () => {
    const buckets = [realm('app', 7), { ...realm('x', 5), windowMs: 3_000 }, realm('y', 3), realm('z', 2)];
    const arrival = fc.record({
      afterMs: fc.integer({ min: 0, max: 400 }),
      of: fc.subarray(buckets, { minLength: 1 }),
      priority: fc.constantFrom<Priority>('interactive', 'webhook', 'poll', 'backfill'),
      calls: fc.integer({ min: 1, max: 8 }),
      leavesAfterMs: fc.option(fc.integer({ min: 0, max: 3_000 }), { nil: undefined }),
      pauseMs: fc.constantFrom(0, 0, 0, 0, 2_500),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(arrival, { minLength: 1, maxLength: 25 }), async (arrivals) => {
        const { clock, limiter, turns } = start();
        const times = new Map<string, number[]>(buckets.map(({ key }) => [key, []]));
        let waiting = 0;
        for (const { afterMs, of, priority, calls, leavesAfterMs, pauseMs } of arrivals) {
          await clock.advance(afterMs);
          if (pauseMs > 0) limiter.pause([of[0]!], pauseMs);
          for (let i = 0; i < calls; i++) {
            const leaving = new AbortController();
            if (leavesAfterMs !== undefined)
              void clock.sleep(leavesAfterMs).then(() => leaving.abort(new Error('left')));
            waiting++;
            const enter = () => of.forEach(({ key }) => times.get(key)!.push(clock.monotonic()));
            const over = () => void waiting--;
            void turns
              .wait(of, priority, leaving.signal, { refusal: () => undefined, enter })
              .then(over, over);
          }
        }
        await clock.advance(600_000);
        for (const { key, limit, windowMs } of buckets) {
          const taken = times.get(key)!;
          const spans = taken.slice(limit).map((at, i) => at - taken[i]!);
          expect(Math.min(Infinity, ...spans)).toBeGreaterThanOrEqual(windowMs);
          expect(turns.queued([{ key, limit, windowMs }])).toBe(0);
        }
        expect(waiting).toBe(0);
        expect(clock.sleeping()).toBe(0);
      }),
      { numRuns: 40, seed: 20261123 },
    );
  });
});

describe('a gate', () => {
  it('refuses without taking anything, and lets the next one have the turn', async () => {
    const { clock, limiter, order, wait } = start();
    void wait('first', [app]);
    let open = true;
    void wait('refused', [app], 'interactive', { refusal: () => (open ? undefined : new Error('closed')) });
    void wait('next', [app], 'backfill');
    open = false;
    await clock.advance(1_005);
    expect(order.toSorted()).toEqual(['first', 'next', 'refused: closed']);
    expect(limiter.view([app])?.remaining).toBe(0);
    await clock.advance(1_005);
    void wait('at once', [app], 'poll', { refusal: () => new Error('closed') });
    await clock.advance(0);
    expect(order.at(-1)).toBe('at once: closed');
    expect(limiter.view([app])?.remaining).toBe(1);
  });

  it('ends those who are refused by now when asked to check again', async () => {
    const { clock, turns, order, wait } = start();
    let open = true;
    const refusal = () => (open ? undefined : new Error('closed'));
    void wait('first', [app]);
    for (let i = 0; i < 3; i++) void wait('refused', [app], 'poll', { refusal });
    void wait('stays', [app]);
    open = false;
    turns.recheck();
    await clock.advance(0);
    expect(order).toEqual(['first', 'refused: closed', 'refused: closed', 'refused: closed']);
    expect(turns.queued([app])).toBe(1);
  });
});

describe('an estimate', () => {
  it('counts only those who would stand before', async () => {
    const { turns, wait } = start();
    for (let i = 0; i < 11; i++) void wait('', [app], 'backfill');
    expect(turns.estimateMs([app], 'interactive')).toBe(1_005);
    expect(turns.estimateMs([app], 'backfill')).toBe(11 * 1_005);
    // 15 s older, a backfill call stands before an interactive one.
    const old = start();
    for (let i = 0; i < 30; i++) void old.wait('', [app], 'backfill');
    await old.clock.advance(15_500);
    expect(old.turns.queued([app])).toBe(14);
    expect(old.turns.estimateMs([app], 'interactive')).toBeGreaterThan(14_000);
  });

  it('is when the call goes, if nobody else comes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 6 }),
        async (gaps, limit) => {
          const { clock, turns, wait } = start();
          const bucket = { ...app, limit };
          for (const gap of gaps) {
            void wait('', [bucket]);
            await clock.advance(gap);
          }
          const expected = turns.estimateMs([bucket], 'poll');
          const since = clock.monotonic();
          let waitedMs = -1;
          void wait('', [bucket]).then(() => (waitedMs = clock.monotonic() - since));
          await clock.advance(100_000);
          expect(waitedMs).toBeCloseTo(expected, 3);
        },
      ),
      { numRuns: 40, seed: 20261123 },
    );
  });
});
