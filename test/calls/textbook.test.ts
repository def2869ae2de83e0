import { describe, expect, it } from 'vitest';
import { createCaller } from '../../src/calls/caller.ts';
import { createCircuitBreaker } from '../../src/calls/circuitBreaker.ts';
import { createAgeing, createFairQueue, patience } from '../../src/calls/fairQueue.ts';
import { createRateLimiter } from '../../src/calls/rateLimit.ts';
import { longestPauseMs, parseRetryAfter } from '../../src/calls/retryAfter.ts';
import { systemClock } from '../../src/clock.ts';
import { manualClock } from '../support/manualClock.ts';
import {
  freeAfterGivingUp,
  letThrough,
  overloadTimes,
  servedAfter,
  turnsUntilLower,
  waits,
  worstWindow,
} from './judges.ts';
import { openTurns, stand } from './standing.ts';
import {
  dateFirst,
  delayZeroStops,
  fixedWindow,
  manyProbes,
  plainTimer,
  sleepingBucket,
  strictQueue,
  tokenBucket,
  uncapped,
  wedgedProbe,
} from './textbook.ts';

/** The same judgement of ours and of the textbook's: each of these tests shows that the wrong form is found out. */

const limit = 100;
const windowMs = 1_000;

const within = (times: readonly number[]) => worstWindow(times, windowMs) <= limit;

describe('the sliding window', () => {
  it('is kept by ours, and exceeded by a token bucket whose burst is the limit and by fixed windows', () => {
    let now = 0;
    const limiter = createRateLimiter({ ...manualClock(), monotonic: () => now });
    const ours = overloadTimes(limit, windowMs, (at) => {
      now = at;
      const slot = limiter.take([{ key: 'x', limit, windowMs }], 0, true);
      slot?.ended();
      return slot !== undefined;
    });
    expect(within(ours)).toBe(true);
    expect(ours.length).toBeGreaterThan(3.9 * limit);

    const bursting = overloadTimes(limit, windowMs, tokenBucket(limit, windowMs));
    expect(within(bursting)).toBe(false);
    expect(worstWindow(bursting, windowMs)).toBeGreaterThan(1.9 * limit);
    expect(within(overloadTimes(limit, windowMs, fixedWindow(limit, windowMs)))).toBe(false);
  });

  it('is kept for 500 who wait together, whom a bucket that sleeps outside the lock lets go at one time', async () => {
    const { clock, turns } = openTurns();
    const bucket = { key: 'x', limit: 10, windowMs };
    const ours: number[] = [];
    for (let i = 0; i < 500; i++)
      void stand(turns, [bucket]).then((slot) => {
        ours.push(clock.monotonic());
        slot.ended();
      });
    const wrong: number[] = [];
    const acquire = sleepingBucket(clock, 10, windowMs);
    for (let i = 0; i < 500; i++) void acquire().then(() => wrong.push(clock.monotonic()));
    await clock.advance(2_000);
    expect(worstWindow(ours, windowMs)).toBeLessThanOrEqual(10);
    expect(worstWindow(wrong, windowMs)).toBe(500);
  });
});

describe('the half-open breaker', () => {
  const halfOpen = async () => {
    const clock = manualClock();
    const breaker = createCircuitBreaker(clock, 5_000);
    for (let i = 0; i < 10; i++) breaker.admit()!.failed();
    expect(breaker.admit()).toBeUndefined();
    await clock.advance(10_000);
    return { clock, breaker };
  };

  it('lets one of 200 through, where the textbook’s lets all', async () => {
    const { breaker } = await halfOpen();
    expect(letThrough(() => breaker.admit())).toBe(1);
    const admits = manyProbes(10_000);
    expect(letThrough(() => admits(10_000))).toBe(200);
  });

  it('is free for the next probe when the first one’s caller gives up, where the textbook’s is wedged', async () => {
    const { breaker } = await halfOpen();
    expect(freeAfterGivingUp(breaker)).toBe(true);
    expect(freeAfterGivingUp(wedgedProbe())).toBe(false);
  });
});

describe('a retry', () => {
  it('is made after a delay of 0 like after any other, where the textbook’s gives up', async () => {
    const attempts = { ours: 0, theirs: 0 };
    // Every draw is 0, and so is every delay.
    const clock = { ...manualClock(), random: () => 0 };
    const caller = createCaller({
      clock,
      requestTimeoutMs: 1_000,
      retry: { baseMs: 100, capMs: 1_000, attempts: 5 },
      queue: { perBucket: 10, total: 10 },
      attempt: {
        send() {
          attempts.ours++;
          return Promise.resolve({ kind: 'failed', code: 'PROVIDER_ERROR', message: '', sent: true });
        },
        close: () => Promise.resolve(),
      },
    });
    const call = caller.call({
      integration: 'x',
      host: 'x',
      buckets: [],
      priority: 'poll',
      deadlineAtMs: clock.now() + 60_000,
      idempotent: true,
      request: () => Promise.resolve({ method: 'GET', url: 'http://x.test/', headers: {} }),
      classify: () => undefined,
    });
    call.catch(() => undefined);
    await clock.advance(1_000);
    await expect(call).rejects.toMatchObject({ code: 'PROVIDER_ERROR' });
    const theirs = () => {
      attempts.theirs++;
      return Promise.resolve(false);
    };
    await delayZeroStops(5, () => 0, theirs);
    expect(attempts).toEqual({ ours: 5, theirs: 1 });
  });

  it('waits as long as it was told, where the textbook’s takes seconds for a date and months for nothing', () => {
    const now = Date.UTC(2026, 0, 5, 12);
    const told = (parse: (value: string, nowMs: number) => number | undefined) => parse('120', now);
    expect(told(parseRetryAfter)).toBe(120_000);
    expect(told(dateFirst)).not.toBe(120_000);
    const fitsTimer = (ms: number) => ms < 2 ** 31;
    expect(fitsTimer(parseRetryAfter('99999999999', now)!)).toBe(true);
    expect(parseRetryAfter('99999999999', now)).toBe(longestPauseMs);
    expect(fitsTimer(uncapped('99999999999'))).toBe(false);
  });
});

describe('a timer', () => {
  it('of a month waits, where the textbook’s fires at once', async () => {
    expect(await waits((ms, work) => systemClock.timer(ms, work), 2 ** 31)).toBe(true);
    expect(await waits(plainTimer, 2 ** 31)).toBe(false);
  });
});

describe('the queue', () => {
  it('gives a lower priority its turn, where the textbook’s starves it', () => {
    const ageing = createAgeing();
    expect(turnsUntilLower(() => ageing.next((level) => level === 0 || level === 3)!)).toBe(patience[3]);
    const strict = strictQueue();
    strict.add(3, 'x');
    const next = () => {
      strict.add(0, 'x');
      return strict.next()!.level;
    };
    expect(turnsUntilLower(next)).toBe(Infinity);
  });

  it('goes round the connections, where the textbook’s lets one long queue pass first', () => {
    const fair = createFairQueue<string>();
    const strict = strictQueue();
    for (const who of [
      ...Array<string>(3_000).fill('deep'),
      ...Array.from({ length: 1_000 }, (_, i) => `c${i}`),
    ]) {
      fair.add(who, 2, who);
      strict.add(2, who);
    }
    expect(
      servedAfter(2_200, () => {
        const place = fair.peek(2)!;
        fair.remove(place, true);
        return place.item;
      }),
    ).toBe(1_001);
    expect(servedAfter(2_200, () => strict.next()!.who)).toBe(1);
  });
});
