import { randomBytes, randomUUID } from 'node:crypto';
import type { Clock } from '../../src/clock.ts';

/**
 * A clock that stands still until the test moves it.
 *
 *   const clock = manualClock();            // at 2026-01-05T12:00:00Z
 *   const done = clock.sleep(1000);
 *   await clock.advance(1000);              // wakes every sleeper that is due, in order
 *
 * Several clocks may be used side by side: bytes and UUIDs are truly random, `random()` repeats from run to run.
 */
export interface ManualClock extends Clock {
  /**
   * Moves both times on by `ms`. Sleepers wake in the order in which they are due, each at its own time, and what they
   * start (further sleeps too) runs before the next one wakes. Work that waits for real I/O is not waited for.
   */
  advance(ms: number): Promise<void>;
  /** Steps the wall clock as a time server or an operator would: `monotonic` and sleepers do not notice. */
  setNow(ms: number): void;
  /** How many sleeps are under way: to wait until the code under test has gone to sleep. */
  sleeping(): number;
}

interface Sleeper {
  dueAt: number;
  wake(): void;
}

export function manualClock(startMs: number = Date.UTC(2026, 0, 5, 12)): ManualClock {
  let wall = startMs;
  let elapsed = 0;
  let seed = 0x2545f491;
  const sleepers: Sleeper[] = [];

  const moveTo = (target: number) => {
    wall += target - elapsed;
    elapsed = target;
  };

  return {
    now: () => wall,
    monotonic: () => elapsed,
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason as Error);
        if (ms <= 0) return resolve();
        const aborted = () => {
          sleepers.splice(sleepers.indexOf(sleeper), 1);
          reject(signal!.reason as Error);
        };
        const sleeper: Sleeper = {
          dueAt: elapsed + ms,
          wake: () => {
            signal?.removeEventListener('abort', aborted);
            resolve();
          },
        };
        signal?.addEventListener('abort', aborted, { once: true });
        sleepers.push(sleeper);
      });
    },
    timer(ms, work) {
      const sleeper: Sleeper = { dueAt: elapsed + Math.max(0, ms), wake: work };
      sleepers.push(sleeper);
      return () => {
        const index = sleepers.indexOf(sleeper);
        if (index >= 0) sleepers.splice(index, 1);
      };
    },
    random: () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed / 2 ** 32;
    },
    randomBytes,
    randomUUID,
    async advance(ms) {
      const target = elapsed + ms;
      await settled();
      for (;;) {
        const next = sleepers.reduce<Sleeper | undefined>(
          (first, one) => (one.dueAt <= target && (!first || one.dueAt < first.dueAt) ? one : first),
          undefined,
        );
        if (!next) break;
        sleepers.splice(sleepers.indexOf(next), 1);
        moveTo(next.dueAt);
        next.wake();
        await settled();
      }
      moveTo(target);
    },
    setNow(ms) {
      wall = ms;
    },
    sleeping: () => sleepers.length,
  };
}

/** Lets promise callbacks, and what they chain, run. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
}
