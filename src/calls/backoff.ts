import type { Clock } from '../clock.ts';

export interface RetryPolicy {
  baseMs: number;
  capMs: number;
  /** Attempts in all, the first included. */
  attempts: number;
}

/** Full jitter: anything from nothing to the exponential delay. `failed`: attempts so far. 0 is a delay like any other. */
export function backoffMs(failed: number, { baseMs, capMs }: RetryPolicy, random: number): number {
  return random * Math.min(capMs, baseMs * 2 ** Math.min(failed - 1, 30));
}

/** Retries that every call earns for its integration. */
const earnedByCall = 0.2;
/** A quiet integration may still retry: this many at once, and one every `trickleMs`. */
const reserve = 10;
const trickleMs = 2_000;
const most = 100;

/**
 * What an integration's calls may spend on retries: a fifth of the calls, so that an outage is not amplified by all
 * its callers trying again. One for each integration.
 */
export interface RetryBudget {
  earn(): void;
  /** Whether one more retry is affordable; takes it. */
  spend(): boolean;
}

export function createRetryBudget(clock: Clock): RetryBudget {
  let balance = reserve;
  let countedAt = clock.monotonic();

  const trickle = () => {
    const now = clock.monotonic();
    if (balance < reserve) balance = Math.min(reserve, balance + (now - countedAt) / trickleMs);
    countedAt = now;
  };
  return {
    earn() {
      balance = Math.min(most, balance + earnedByCall);
    },
    spend() {
      trickle();
      if (balance < 1) return false;
      balance -= 1;
      return true;
    },
  };
}
