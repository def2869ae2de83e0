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
}

export function createPriorityQueue<T>(clock: Clock): PriorityQueue<T> {
  const lanes = priorities.map(() => new Map<T, Waiting<T>>());
  let size = 0;
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
    peek() {
      let first: T | undefined;
      let firstAt = Infinity;
      for (const [level, lane] of lanes.entries()) {
        const [head] = lane.values();
        if (!head || head.since + level * levelMs >= firstAt) continue;
        first = head.item;
        firstAt = head.since + level * levelMs;
      }
      return first;
    },
  };
}
