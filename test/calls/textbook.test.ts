import { describe, expect, it } from 'vitest';
import { backoffMs } from '../../src/calls/backoff.ts';
import { createCircuitBreaker } from '../../src/calls/circuitBreaker.ts';
import { createAgeing, createFairQueue, patience } from '../../src/calls/fairQueue.ts';
import { createRateLimiter } from '../../src/calls/rateLimit.ts';
import { longestPauseMs, parseRetryAfter } from '../../src/calls/retryAfter.ts';
import { manualClock } from '../support/manualClock.ts';
import { openTurns, stand, worstWindow } from './standing.ts';
import {
  dateFirst,
  delayZeroStops,
  fixedWindow,
  manyProbes,
  sleepingBucket,
  strictQueue,
  tokenBucket,
  uncapped,
  wedgedProbe,
} from './textbook.ts';

/** The same judgement of ours and of the textbook's: each of these tests shows that the wrong form is found out. */

const limit = 100;
const windowMs = 1_000;

/** Ten times the limit, after a rest that ends shortly before a full second. */
function overload(take: (now: number) => boolean): number[] {
  const times: number[] = [];
  for (let now = 5_900; now < 9_900; now++)
    for (let i = 0; i < (10 * limit) / windowMs; i++) if (take(now)) times.push(now);
  return times;
}
const within = (times: readonly number[]) => worstWindow(times, windowMs) <= limit;

describe('the sliding window', () => {
  it('is kept by ours, and exceeded by a token bucket whose burst is the limit and by fixed windows', async () => {
    const clock = manualClock();
    const limiter = createRateLimiter(clock);
    const bucket = { key: 'x', limit, windowMs };
    const times: number[] = [];
    while (clock.monotonic() < 4_000) {
      for (let i = 0; i < 10; i++) {
        const slot = limiter.take([bucket], 0, i > 0);
        slot?.ended();
        if (slot) times.push(clock.monotonic());
      }
      await clock.advance(5);
    }
    expect(within(times)).toBe(true);
    expect(times.length).toBeGreaterThan(3.8 * limit);

    expect(within(overload(tokenBucket(limit, windowMs)))).toBe(false);
    expect(worstWindow(overload(tokenBucket(limit, windowMs)), windowMs)).toBeGreaterThan(1.9 * limit);
    expect(within(overload(fixedWindow(limit, windowMs)))).toBe(false);
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
    const probes = (admit: () => unknown) => Array.from({ length: 200 }, admit).filter(Boolean).length;
    expect(probes(() => breaker.admit())).toBe(1);
    const admits = manyProbes(10_000);
    expect(probes(() => admits(10_000))).toBe(200);
  });

  it('is free for the next probe when the first one’s caller gives up, where the textbook’s is wedged', async () => {
    const { breaker } = await halfOpen();
    const again = (one: { admit(): { abandoned(): void } | undefined }) => {
      one.admit()!.abandoned();
      return one.admit() !== undefined;
    };
    expect(again(breaker)).toBe(true);
    expect(again(wedgedProbe())).toBe(false);
  });
});

describe('a retry', () => {
  it('is made after a delay of 0 like after any other, where the textbook’s gives up', async () => {
    const policy = { baseMs: 100, capMs: 1_000, attempts: 5 };
    expect(backoffMs(1, policy, 0)).toBe(0);
    let attempts = 0;
    await delayZeroStops(
      5,
      () => 0,
      () => {
        attempts++;
        return Promise.resolve(false);
      },
    );
    expect(attempts, 'caller.test.ts shows that ours makes them all').toBe(1);
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

describe('the queue', () => {
  /** Turns until the first that is not interactive, while interactive calls never end. */
  const turnsUntilLower = (next: () => number) => {
    for (let turns = 0; turns < 1_000; turns++) if (next() > 0) return turns;
    return Infinity;
  };

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
    const served = (next: () => string) => new Set(Array.from({ length: 2_200 }, next)).size;
    expect(
      served(() => {
        const place = fair.peek(2)!;
        fair.remove(place, true);
        return place.item;
      }),
    ).toBe(1_001);
    expect(served(() => strict.next()!.who)).toBe(1);
  });
});
