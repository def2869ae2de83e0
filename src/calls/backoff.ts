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

/** Of the calls of about the last minute. */
const share = 0.2;
/** A quiet integration may retry too: so many in about a minute. */
const reserve = 10;
const forgetMs = 60_000;

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
  let calls = 0;
  let retries = 0;
  let countedAt = clock.monotonic();

  /** Older ones count for less and less. */
  const fade = () => {
    const now = clock.monotonic();
    const kept = Math.exp((countedAt - now) / forgetMs);
    calls *= kept;
    retries *= kept;
    countedAt = now;
  };
  return {
    earn() {
      fade();
      calls++;
    },
    spend() {
      fade();
      if (retries + 1 > Math.max(reserve, calls * share)) return false;
      retries++;
      return true;
    },
  };
}
