import type { RecordReads } from './provider.ts';

/** Cuts what is asked for together into what one request takes. Pure; keeps the order. */
export function batchesOf<T>(
  { batchSize, batchSizes, oneByOne }: RecordReads,
  resource: string,
  all: readonly T[],
): T[][] {
  const isFew = all.length <= (oneByOne?.[resource] ?? 0);
  const size = isFew ? 1 : (batchSizes?.[resource] ?? batchSize);
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
}
