import type { Bucket, BudgetView } from '../calls/caller.ts';
import type { ConfiguredProvider } from '../providers/catalog.ts';
import type { ProviderRequest, RateLimit } from '../providers/provider.ts';

/**
 * The buckets of a call, as the provider counts: by application, and by whatever else the limit says. The same call
 * gets the same list again, for the queue knows its lines by it.
 */
export interface BucketsOf {
  (
    configured: ConfiguredProvider,
    externalId: string | null,
    request: Pick<ProviderRequest, 'operation' | 'subject'>,
  ): readonly Bucket[];
}

const mostRemembered = 10_000;

export function createBucketsOf(): BucketsOf {
  const remembered = new Map<string, readonly Bucket[]>();
  return (configured, externalId, { operation = '', subject = '' }) => {
    const { provider, credentials, limits } = configured;
    const of = [provider.id, credentials?.clientId, externalId, operation, subject];
    const key = JSON.stringify(of);
    let buckets = remembered.get(key);
    if (!buckets) {
      const values = { account: externalId, operation, subject };
      buckets = limits
        .filter((limit) => counts(limit, operation))
        .map(({ name, limit, windowMs, per = ['account'] }) => ({
          key: JSON.stringify([provider.id, credentials?.clientId, name, ...per.map((one) => values[one])]),
          limit,
          windowMs,
          ...(!per.includes('account') && { appWide: true }),
        }));
      if (remembered.size >= mostRemembered) remembered.clear();
      remembered.set(key, buckets);
    }
    return buckets;
  };
}

function counts({ operations, exceptOperations }: RateLimit, operation: string): boolean {
  return (operations?.includes(operation) ?? true) && !exceptOperations?.includes(operation);
}

export interface Lacking {
  budget: BudgetView;
  /** With all of the limit free; otherwise no time is the right one. */
  isEverPossible: boolean;
}

/**
 * The first limit that leaves no room for so many calls within `patienceMs`: what remains, and the whole limit again
 * for each window that passes meanwhile. A pause passes by itself, and a limit on what runs at one time only delays.
 */
export function lacking(
  budgets: readonly BudgetView[],
  calls: number,
  patienceMs: number,
): Lacking | undefined {
  for (const budget of budgets) {
    if (budget.windowMs === 0 || budget.pausedUntilMs !== undefined) continue;
    const again = budget.limit * Math.floor(patienceMs / budget.windowMs);
    if (calls > budget.remaining + again) return { budget, isEverPossible: calls <= budget.limit + again };
  }
  return undefined;
}
