import { IntegrationError } from '../errors.ts';

export interface MergedWrite<Present, Merged, Written> {
  /** The object as it is now, with what the provider compares: QuickBooks `SyncToken`, an ETag. */
  read(): Promise<Present>;
  /**
   * What to write; undefined where nothing is left to change. Applied to an object that has the change already, it
   * must say so: a write whose answer was lost and that was sent again meets its own effect as a conflict.
   */
  merge(present: Present): Merged | undefined | Promise<Merged | undefined>;
  /** Refused by the provider, with a CONFLICT, unless the object still is what was read. */
  write(merged: Merged, present: Present): Promise<Written>;
  /** Rounds in all, the first included. Of n writers at once, the last needs n. */
  attempts?: number;
}

/**
 * Changes an object that others change too (HTTP 409 and 412, QuickBooks 5010): on a conflict that reading anew can
 * cure it reads, merges and writes again. Resolves to what `write` gave, or to undefined where there was nothing to
 * write. Rejects with the last conflict when the attempts are used up; a conflict that is not retryable (a name that
 * is taken) and every other failure end it at once. It does not pause: the calls inside wait their turn as any call.
 */
export async function writeMerged<Present, Merged, Written>(
  change: MergedWrite<Present, Merged, Written>,
): Promise<Written | undefined> {
  const { read, merge, write, attempts = 3 } = change;
  for (let attempt = 1; ; attempt++) {
    const present = await read();
    const merged = await merge(present);
    if (merged === undefined) return undefined;
    try {
      return await write(merged, present);
    } catch (error) {
      if (!isCurable(error) || attempt >= attempts) throw error;
    }
  }
}

const isCurable = (error: unknown): boolean =>
  error instanceof IntegrationError && error.code === 'CONFLICT' && error.retryable;
