import type { Clock } from '../clock.ts';

/** Who waits first. */
export const priorities = ['interactive', 'webhook', 'poll', 'backfill'] as const;
export type Priority = (typeof priorities)[number];

/**
 * Each level that a call stands lower costs it as much as arriving this much later. So a backfill call is passed by
 * interactive ones for 15 s at the most, however many come.
 */
export const levelMs = 5_000;

interface Waiting<T> {
  item: T;
  since: number;
}

/** First come, first served within a priority; between priorities as `levelMs` says. Adding and leaving are O(1). */
export interface PriorityQueue<T> {
  readonly size: number;
  add(item: T, priority: Priority): void;
  /** Does nothing for an item that has left. */
  remove(item: T): void;
  /** The next one, which stays; undefined when nobody waits. */
  peek(): T | undefined;
  /** Orders the next one among those of other queues, lower first; Infinity when nobody waits. */
  firstDueAt(): number;
  /** How many would stand before one who came now. */
  ahead(priority: Priority): number;
  /** Everybody, in no order. Leaving meanwhile is allowed. */
  all(): Iterable<T>;
}

export function createPriorityQueue<T>(clock: Clock): PriorityQueue<T> {
  const lanes = priorities.map(() => new Map<T, Waiting<T>>());
  let size = 0;

  const first = (): { item: T; dueAt: number } | undefined => {
    let found: { item: T; dueAt: number } | undefined;
    for (const [level, lane] of lanes.entries()) {
      const [head] = lane.values();
      if (!head) continue;
      const dueAt = head.since + level * levelMs;
      if (!found || dueAt < found.dueAt) found = { item: head.item, dueAt };
    }
    return found;
  };

  return {
    get size() {
      return size;
    },
    add(item, priority) {
      lanes[priorities.indexOf(priority)]!.set(item, { item, since: clock.monotonic() });
      size++;
    },
    remove(item) {
      if (lanes.some((lane) => lane.delete(item))) size--;
    },
    peek: () => first()?.item,
    firstDueAt: () => first()?.dueAt ?? Infinity,
    ahead(priority) {
      const own = priorities.indexOf(priority);
      const dueAt = clock.monotonic() + own * levelMs;
      let count = 0;
      for (const [level, lane] of lanes.entries()) {
        if (level <= own) {
          count += lane.size;
          continue;
        }
        for (const { since } of lane.values()) {
          if (since + level * levelMs > dueAt) break;
          count++;
        }
      }
      return count;
    },
    *all() {
      for (const lane of lanes) yield* lane.keys();
    },
  };
}
