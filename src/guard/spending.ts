import { GraphQLError } from 'graphql';
import type { Clock } from '../clock.ts';

/**
 * What each account may ask of this process, in points of cost, over all transports: so much a second, and what it has
 * saved up in the last seconds at once. Other processes count for themselves.
 */
export interface Spending {
  /** Charges the account, or says why not: then nothing is charged. */
  charge(accountId: string, points: number): GraphQLError | undefined;
  /** Why the account would be charged nothing more, without charging it. */
  owing(accountId: string): GraphQLError | undefined;
}

/** What is not used is kept for so long. */
const savedForMs = 5_000;
/** Accounts that are kept before it is looked which of them owe nothing any more. */
const fewestKept = 1_000;

/**
 * An account that has points left may spend more than it has, once: it then waits until the debt is paid. So no operation
 * is too large for a small budget, and over time nobody has more than their share.
 *
 * @param pointsPerSecond 0: everybody may spend what they like
 */
export function createSpending(pointsPerSecond: number, clock: Clock): Spending {
  const pointsPerMs = pointsPerSecond / 1_000;
  /** When the account will have all that it may save up. One that has it already is as good as unknown. */
  const fullAt = new Map<string, number>();
  let mostKept = fewestKept;

  const forget = (now: number) => {
    for (const [accountId, at] of fullAt) if (at <= now) fullAt.delete(accountId);
    mostKept = Math.max(fewestKept, 2 * fullAt.size);
  };

  const owing = (accountId: string): GraphQLError | undefined => {
    const owedMs = (fullAt.get(accountId) ?? -Infinity) - clock.monotonic() - savedForMs;
    return owedMs >= 0 ? tooMuch(pointsPerSecond, owedMs) : undefined;
  };
  return {
    owing,
    charge(accountId, points) {
      if (pointsPerSecond === 0) return undefined;
      const refused = owing(accountId);
      if (refused) return refused;
      const now = clock.monotonic();
      fullAt.set(accountId, Math.max(now, fullAt.get(accountId) ?? now) + points / pointsPerMs);
      if (fullAt.size > mostKept) forget(now);
      return undefined;
    },
  };
}

function tooMuch(pointsPerSecond: number, owedMs: number): GraphQLError {
  const most = pointsPerSecond.toLocaleString('en-US');
  const retryAfterSeconds = Math.max(1, Math.ceil(owedMs / 1_000));
  return new GraphQLError(
    `An account may ask for ${most} points of cost a second; yours has asked for more.`,
    {
      extensions: { code: rateLimited, retryAfterSeconds },
    },
  );
}

export const rateLimited = 'RATE_LIMITED';
