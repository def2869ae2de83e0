import DataLoader from 'dataloader';
import type { Clock } from '../src/clock.ts';
import { within } from '../src/deadline.ts';
import { mayBeStale } from '../src/sync/records.ts';

/**
 * Reads that ask providers, each settling by itself: nobody waits for another one's provider. What succeeded is kept
 * together, by one call, before the last of them settles: statements must not grow with the providers' requests.
 */
export function readTogether<T, Answer>(
  items: readonly T[],
  read: (item: T) => Promise<Answer>,
  keep: (answers: Answer[]) => Promise<void>,
): Promise<Answer>[] {
  const answers: Answer[] = [];
  let open = items.length;
  return items.map(async (item) => {
    try {
      const answer = await read(item);
      answers.push(answer);
      return answer;
    } finally {
      open -= 1;
      if (open === 0 && answers.length > 0) await keep(answers);
    }
  });
}

export type Stale<V> = V & { stale: boolean };

/** One request's view of what providers last said, by key. */
export interface LastKnown<Key, V> {
  /** Undefined where nothing is known. */
  find(key: Key): Promise<V | undefined>;
  /**
   * The provider's answer, or what was last known where it comes not at all, or not within `maxWaitMs`. The read itself
   * goes on. Rejects as `live` does where nothing is known, and where the failure is not one to look away from. Asked
   * again with the same patience, it answers the same: nobody waits twice.
   */
  orLive<Live>(key: Key, live: Promise<Live>, maxWaitMs?: number | null): Promise<Live | Stale<V>>;
}

export function createLastKnown<Key, V>(
  clock: Clock,
  keyOf: (key: Key) => string,
  find: (keys: readonly Key[]) => Promise<Map<string, V>>,
): LastKnown<Key, V> {
  const waiting = new Map<string, Key>();
  const known = new DataLoader<Key, V | undefined, string>(
    async (keys) => {
      const found = await find(keys);
      return keys.map((key) => found.get(keyOf(key)));
    },
    { cacheKeyFn: keyOf },
  );

  const answers = new Map<string, Promise<unknown>>();
  const orLive = async <Live>(key: Key, live: Promise<Live>, maxWaitMs: number | null | undefined) => {
    const id = keyOf(key);
    waiting.set(id, key);
    try {
      return await within(live, maxWaitMs, clock);
    } catch (error) {
      if (!mayBeStale(error)) throw error;
      // Failures come one by one, statements must not: all that still wait are looked up with the first that failed.
      void known.loadMany([...waiting.values()]);
      const last = await known.load(key);
      if (last === undefined) throw error;
      return { ...last, stale: true };
    } finally {
      waiting.delete(id);
    }
  };

  return {
    find: (key) => known.load(key),
    orLive<Live>(key: Key, live: Promise<Live>, maxWaitMs?: number | null) {
      const id = `${maxWaitMs ?? ''} ${keyOf(key)}`;
      const answer = answers.get(id) ?? orLive(key, live, maxWaitMs);
      answers.set(id, answer);
      return answer as Promise<Live | Stale<V>>;
    },
  };
}
