import type { Bucket } from '../calls/caller.ts';
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
