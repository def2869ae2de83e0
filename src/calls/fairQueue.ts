/** Who waits first. */
export const priorities = ['interactive', 'webhook', 'poll', 'backfill'] as const;
export type Priority = (typeof priorities)[number];

/**
 * Between priorities the more urgent goes first, but each lower one gets a turn when it has been passed over so often:
 * however many interactive calls come, every 41st turn is a backfill call's.
 */
export const patience = [0, 10, 20, 40] as const;

/** Within a priority, those who wait take turns by whom they are for: a long queue of one connection delays no other. */
export interface FairQueue<T> {
  readonly size: number;
  /** By priority; 0 is the most urgent. */
  sizeOf(level: number): number;
  add(item: T, level: number, who: string): Place<T>;
  /** Leaves the queue; `served`: by having had its turn. Does nothing for a place that has been left. */
  remove(place: Place<T>, served: boolean): void;
  /** Whose turn it is at this level; it stays. */
  peek(level: number): Place<T> | undefined;
  /** How many of this level would surely go before one who came now. */
  ahead(level: number, who: string): number;
  /** Everybody, in no order. Leaving meanwhile is allowed. */
  all(): Generator<Place<T>>;
}

/** A link of the list of one connection's calls. */
export interface Place<T> {
  readonly item: T;
  readonly level: number;
  line: Line<T> | undefined;
  before: Place<T> | undefined;
  after: Place<T> | undefined;
}

interface Line<T> {
  who: string;
  first: Place<T> | undefined;
  last: Place<T> | undefined;
  size: number;
}

export function createFairQueue<T>(): FairQueue<T> {
  // In each lane the line whose turn is next stands first.
  const lanes = priorities.map(() => ({ lines: new Map<string, Line<T>>(), size: 0 }));
  let size = 0;

  return {
    get size() {
      return size;
    },
    sizeOf: (level) => lanes[level]!.size,
    add(item, level, who) {
      const lane = lanes[level]!;
      let line = lane.lines.get(who);
      if (!line) lane.lines.set(who, (line = { who, first: undefined, last: undefined, size: 0 }));
      const place: Place<T> = { item, level, line, before: line.last, after: undefined };
      if (line.last) line.last.after = place;
      else line.first = place;
      line.last = place;
      line.size++;
      lane.size++;
      size++;
      return place;
    },
    remove(place, served) {
      const { line, before, after, level } = place;
      if (!line) return;
      const lane = lanes[level]!;
      if (before) before.after = after;
      else line.first = after;
      if (after) after.before = before;
      else line.last = before;
      place.line = undefined;
      lane.size--;
      size--;
      if (--line.size === 0) lane.lines.delete(line.who);
      else if (served) {
        // To the end of the round.
        lane.lines.delete(line.who);
        lane.lines.set(line.who, line);
      }
    },
    peek(level) {
      for (const line of lanes[level]!.lines.values()) return line.first;
      return undefined;
    },
    ahead(level, who) {
      const { lines } = lanes[level]!;
      const own = lines.get(who);
      return own ? own.size + lines.size - 1 : lines.size;
    },
    *all() {
      for (const { lines } of lanes)
        for (const line of [...lines.values()])
          for (let place = line.first, next = place?.after; place; place = next, next = place?.after)
            yield place;
    },
  };
}

/** Remembers who was passed over, where several levels compete. */
export interface Ageing {
  /** The level whose turn it is among those present; undefined when nobody is. Counts it as gone. */
  next(present: (level: number) => boolean): number | undefined;
  /** How often it has been passed over since its last turn. */
  passed(level: number): number;
}

export function createAgeing(): Ageing {
  const passed = patience.map(() => 0);
  return {
    next(present) {
      let chosen: number | undefined;
      for (let level = patience.length - 1; level >= 0; level--) {
        const impatient = chosen !== undefined && passed[chosen]! >= patience[chosen]!;
        if (!impatient && present(level)) chosen = level;
      }
      if (chosen === undefined) return undefined;
      passed[chosen] = 0;
      for (let level = chosen + 1; level < patience.length; level++) if (present(level)) passed[level]!++;
      return chosen;
    },
    passed: (level) => passed[level]!,
  };
}
