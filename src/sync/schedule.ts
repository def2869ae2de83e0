import type { IntegrationProblem } from '../errors.ts';
import type { ChangeReads } from '../providers/changes.ts';

/**
 * When a round is due depends on how the last ones went:
 *
 *   the interval            as a rule, give or take a quarter
 *   half of it              after a change that a webhook should have announced, until webhooks prove themselves
 *   up to four of it        while webhooks announce everything: after three polls that found nothing
 *   when the trouble ends   after a failure: the provider's own wait, else twice as long after each one
 *   never                   while the connection is not ACTIVE; at once when it is again
 *
 * and never sooner than the provider wants. Pure; waits in milliseconds, `random` in [0, 1).
 */

const quietBefore = 3;
const mostQuietFactor = 4;
const longestPauseMs = 3_600_000;
const firstBackoffMs = 30_000;

/** How far webhooks are believed to tell everything; `distrust` counts the polls that they have to prove themselves for. */
export interface Trust {
  delivery: 'WEBHOOK' | 'POLL';
  distrust: number;
}

export function pollDelayMs({
  intervalMs,
  reads,
  quietPolls,
  trust,
  random,
}: {
  intervalMs: number;
  reads: Pick<ChangeReads, 'leastIntervalMs'>;
  /** In a row that found nothing. */
  quietPolls: number;
  /** Undefined: webhooks do not tell of this resource. */
  trust: Trust | undefined;
  random: number;
}): number {
  let factor = 1;
  if (trust && trust.distrust > 0) factor = 0.5;
  else if (trust?.delivery === 'WEBHOOK' && quietPolls >= quietBefore)
    factor = Math.min(mostQuietFactor, quietPolls - quietBefore + 2);
  return Math.max(intervalMs * factor * (0.75 + random / 2), reads.leastIntervalMs ?? 0);
}

export function retryDelayMs({
  intervalMs,
  failures,
  isPause,
  cause,
  random,
}: {
  intervalMs: number;
  /** In a row, this one included. */
  failures: number;
  /** It has to wait, and nothing is wrong. */
  isPause: boolean;
  cause: Pick<IntegrationProblem, 'retryAfterSeconds'>;
  random: number;
}): number {
  const { retryAfterSeconds } = cause;
  const backoffMs = Math.min(intervalMs, firstBackoffMs) * 2 ** Math.min(failures - 1, 12);
  const waitMs =
    retryAfterSeconds === undefined ? Math.min(longestPauseMs, backoffMs) : retryAfterSeconds * 1_000 + 250;
  return waitMs * (isPause ? 1 : 1 + random / 4);
}

/**
 * From when on the next round asks for changes.
 * @param since of the round that ended; null where it read everything
 * @param at the provider's time of its first page
 * @returns null where the provider's clock has gone back: what changed meanwhile has times that the last round was past
 * already, so everything is read again
 */
export function nextCursor(since: string | null, at: Date, overlapMs: number): Date | null {
  const next = at.getTime() - overlapMs;
  return since !== null && next < Date.parse(since) - clocksApartMs ? null : new Date(next);
}

/** Servers of one provider differ by seconds. */
const clocksApartMs = 60_000;
