import { IntegrationError, type ProblemCode } from '../errors.ts';
import { batchesOf } from '../providers/batches.ts';
import type { Provider, RecordSnapshot } from '../providers/provider.ts';

export interface RecordRef {
  resource: string;
  externalId: string;
}

export const refKey = ({ resource, externalId }: RecordRef) => JSON.stringify([resource, externalId]);

/** What became of the read of one record; a null snapshot: the provider has no such record. */
export type Verdict = { snapshot: RecordSnapshot | null } | { failure: unknown };

interface Verdicts {
  get(ref: RecordRef): Verdict;
}

/** They befall every read alike: asking for less would not help. */
const common: ReadonlySet<ProblemCode> = new Set([
  'RATE_LIMITED',
  'QUEUE_FULL',
  'CIRCUIT_OPEN',
  'DEADLINE_EXCEEDED',
  'NETWORK_ERROR',
  'UNAUTHENTICATED',
  'REAUTHORIZATION_REQUIRED',
  'NOT_CONNECTED',
  'NOT_CONFIGURED',
]);

/**
 * Reads records in as few requests as the provider's batches allow. Where a batch fails on what is in it, its halves
 * are asked for, and theirs: one record that cannot be read spoils no other's read, at twice the logarithm of the batch
 * in requests.
 */
export async function readTogether(
  { records }: Provider,
  refs: readonly RecordRef[],
  read: (resource: string, ids: readonly string[]) => Promise<ReadonlyMap<string, RecordSnapshot>>,
): Promise<Verdicts> {
  const verdicts = new Map<string, Verdict>();

  const ask = async (resource: string, ids: readonly string[]): Promise<void> => {
    try {
      const found = await read(resource, ids);
      for (const externalId of ids)
        verdicts.set(refKey({ resource, externalId }), { snapshot: found.get(externalId) ?? null });
    } catch (failure) {
      const isCommon = failure instanceof IntegrationError && common.has(failure.code);
      if (ids.length > 1 && !isCommon) {
        const middle = Math.ceil(ids.length / 2);
        await ask(resource, ids.slice(0, middle));
        await ask(resource, ids.slice(middle));
        return;
      }
      for (const externalId of ids) verdicts.set(refKey({ resource, externalId }), { failure });
    }
  };

  const groups = Map.groupBy(refs, (ref) => ref.resource);
  await Promise.all(
    [...groups].flatMap(([resource, own]) => {
      const ids = own.map((ref) => ref.externalId);
      return batchesOf(records, resource, ids).map((batch) => ask(resource, batch));
    }),
  );
  return { get: (ref) => verdicts.get(refKey(ref))! };
}
