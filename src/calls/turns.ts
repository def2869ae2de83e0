import type { Cancel, Clock } from '../clock.ts';
import {
  createAgeing,
  createFairQueue,
  patience,
  priorities,
  type Ageing,
  type FairQueue,
  type Place,
} from './fairQueue.ts';
import type { RateLimiter } from './rateLimit.ts';
import type { Slot } from './slots.ts';
import type { Bucket } from './window.ts';

/**
 * Waiting for a call's turn: behind those before it, until all its buckets have room.
 *
 * Calls with the same buckets stand in one line. Where lines share a bucket, they take turns by priority, and within
 * one by who was served longest ago. A line held up by another of its buckets holds up nobody else: one paused account
 * must not stop all that share the application's limit with it.
 */
export interface Turns {
  /** The turn of a call that nobody stands before; undefined when it has to wait. */
  now(buckets: readonly Bucket[], level: number): Slot | undefined;
  /** Stands in line until the waiter is called, once. */
  wait(waiter: Waiter, level: number, who: string): Place<Waiter>;
  /** Does nothing after that. */
  leave(place: Place<Waiter>): void;
  /** Calls that wait for the most wanted of these buckets. */
  queued(buckets: readonly Bucket[]): number;
  /** Whether one more may wait. */
  hasRoom(buckets: readonly Bucket[]): boolean;
  /** At least how long one more would wait, unless others leave. */
  estimateMs(buckets: readonly Bucket[], level: number, who: string): number;
  /** How long one more would wait behind everybody. */
  backlogMs(buckets: readonly Bucket[]): number;
  /** Ends at once whoever waits and is refused by now. */
  recheck(): void;
  /** Calls that wait, by integration and level. */
  depth(): ReadonlyMap<string, readonly number[]>;
}

export interface Waiter {
  readonly integration: string;
  readonly buckets: readonly Bucket[];
  /** Why the call may not go. Asked before its turn, so that who is refused uses nothing up. */
  refusal(): Error | undefined;
  go(slot: Slot): void;
  end(reason: Error): void;
}

interface Line {
  key: string;
  buckets: readonly Bucket[];
  queue: FairQueue<Waiter>;
  /** Its last turn; that of a line that forms is now, so that one which forms anew each time passes no other. */
  servedAt: number;
  /** The next look. */
  timer: { at: number; cancel: Cancel } | undefined;
}

/** Everybody who waits for one bucket. */
interface Crowd {
  lines: Set<Line>;
  size: number;
  ageing: Ageing;
}

/** Of the most urgent who waits. */
function levelOf({ queue }: Pick<Line, 'queue'>): number {
  let level = 0;
  while (level < priorities.length - 1 && queue.sizeOf(level) === 0) level++;
  return level;
}

const unlimited: Slot = { usable: () => true, sent() {}, ended() {}, unused() {} };

export function createTurns(
  clock: Clock,
  limiter: RateLimiter,
  bounds: { perBucket: number; total: number },
): Turns {
  const lines = new Map<string, Line>();
  const crowds = new Map<string, Crowd>();
  const depth = new Map<string, number[]>();
  const keys = new WeakMap<readonly Bucket[], string>();
  let size = 0;
  let served = 0;

  const keyOf = (buckets: readonly Bucket[]): string => {
    let key = keys.get(buckets);
    if (key === undefined) keys.set(buckets, (key = buckets.map((bucket) => bucket.key).join('\n')));
    return key;
  };
  const lineOf = (buckets: readonly Bucket[]): Line => {
    const key = keyOf(buckets);
    let line = lines.get(key);
    if (!line)
      lines.set(
        key,
        (line = { key, buckets, queue: createFairQueue(), servedAt: ++served, timer: undefined }),
      );
    return line;
  };
  const crowdOf = (key: string): Crowd => {
    let crowd = crowds.get(key);
    if (!crowd) crowds.set(key, (crowd = { lines: new Set(), size: 0, ageing: createAgeing() }));
    return crowd;
  };
  const count = (waiter: Waiter, level: number, by: number) => {
    let counts = depth.get(waiter.integration);
    if (!counts) depth.set(waiter.integration, (counts = priorities.map(() => 0)));
    counts[level]! += by;
    size += by;
  };
  const leave = (line: Line, place: Place<Waiter>, having: 'served' | 'given up') => {
    line.queue.remove(place, having === 'served');
    count(place.item, place.level, -1);
    const empty = line.queue.size === 0;
    for (const { key } of line.buckets) {
      const crowd = crowds.get(key)!;
      crowd.size--;
      if (empty) crowd.lines.delete(line);
      if (crowd.size === 0) crowds.delete(key);
    }
    if (!empty) return;
    lines.delete(line.key);
    line.timer?.cancel();
    line.timer = undefined;
  };

  /** Of a line that may go now and those that share a bucket with it: the place whose turn it is. */
  const foremost = (line: Line): { line: Line; place: Place<Waiter> } => {
    let widest = crowds.get(line.buckets[0]!.key)!;
    const able = new Set([line]);
    // Whoever has the turn of an urgent call is as urgent: beside endless urgent calls nothing else is ever free.
    const urgency = levelOf(line);
    for (const { key } of line.buckets) {
      const crowd = crowds.get(key)!;
      if (crowd.lines.size > widest.lines.size) widest = crowd;
      if (crowd.lines.size > 1)
        for (const other of crowd.lines)
          if (!able.has(other) && limiter.waitMs(other.buckets, Math.min(urgency, levelOf(other))) === 0)
            able.add(other);
    }
    const has = (level: number) => (one: Line) => one.queue.sizeOf(level) > 0;
    const level = widest.ageing.next((one) => (able.size === 1 ? has(one)(line) : [...able].some(has(one))))!;
    let best: Line | undefined;
    for (const one of able) if (has(level)(one) && (!best || one.servedAt < best.servedAt)) best = one;
    return { line: best!, place: best!.queue.peek(level)! };
  };

  /** Lets through whoever may go, then plans to look again when the next one may. */
  const look = (line: Line): void => {
    while (line.queue.size > 0) {
      const waitMs = limiter.waitMs(line.buckets, levelOf(line));
      if (waitMs > 0) return plan(line, waitMs);
      const next = foremost(line);
      const refusal = next.place.item.refusal();
      if (refusal) {
        leave(next.line, next.place, 'given up');
        next.place.item.end(refusal);
        continue;
      }
      const level = Math.min(levelOf(line), levelOf(next.line));
      const slot = limiter.take(next.line.buckets, level, true);
      if (!slot) return plan(line, 1);
      next.line.servedAt = ++served;
      leave(next.line, next.place, 'served');
      next.place.item.go(slot);
    }
  };
  const plan = (line: Line, waitMs: number): void => {
    const at = clock.monotonic() + waitMs;
    if (line.timer && line.timer.at <= at) return;
    line.timer?.cancel();
    const cancel = clock.timer(waitMs, () => {
      line.timer = undefined;
      look(line);
    });
    line.timer = { at, cancel };
  };

  const recheck = () => {
    for (const line of lines.values())
      for (const place of line.queue.all()) {
        const refusal = place.item.refusal();
        if (!refusal) continue;
        leave(line, place, 'given up');
        place.item.end(refusal);
      }
  };

  limiter.serve({
    paused: recheck,
    waiting(buckets) {
      const queue = lines.get(keyOf(buckets))?.queue;
      if (!queue) return { calls: 0, level: 0 };
      return { calls: queue.size, level: levelOf({ queue }) };
    },
    room(buckets) {
      const near = new Set(buckets.flatMap(({ key }) => [...(crowds.get(key)?.lines ?? [])]));
      for (const line of near) look(line);
    },
  });

  return {
    now(buckets, level) {
      if (buckets.length === 0) return unlimited;
      for (const { key } of buckets) if (crowds.has(key)) return undefined;
      return limiter.take(buckets, level, false);
    },
    wait(waiter, level, who) {
      const { buckets } = waiter;
      const line = lineOf(buckets);
      const sooner = line.queue.size === 0 || level < levelOf(line);
      const place = line.queue.add(waiter, level, who);
      count(waiter, level, 1);
      for (const { key } of buckets) {
        const crowd = crowdOf(key);
        crowd.lines.add(line);
        crowd.size++;
      }
      // One more of the kind that waits already changes nothing before the planned look.
      if (sooner || !line.timer) look(line);
      else limiter.joined(buckets);
      return place;
    },
    leave(place) {
      if (place.line) leave(lineOf(place.item.buckets), place, 'given up');
    },
    queued: (buckets) => Math.max(0, ...buckets.map(({ key }) => crowds.get(key)?.size ?? 0)),
    hasRoom(buckets) {
      if (size >= bounds.total) return false;
      for (const { key } of buckets) if ((crowds.get(key)?.size ?? 0) >= bounds.perBucket) return false;
      return true;
    },
    estimateMs(buckets, level, who) {
      const own = lines.get(keyOf(buckets));
      const before = own?.queue.ahead(level, who) ?? 0;
      // However many are more urgent, they pass this call and those before it only so often.
      let passes = (before + 1) * patience[level]!;
      const near = new Set<Line>();
      for (const { key } of buckets) {
        const crowd = crowds.get(key);
        if (!crowd) continue;
        passes -= crowd.ageing.passed(level);
        for (const line of crowd.lines) near.add(line);
      }
      return limiter.estimateMs(buckets, ({ key }) => {
        let above = 0;
        let others = 0;
        let beside = 0;
        for (const line of near) {
          let urgent = 0;
          for (let more = 0; more < level; more++) urgent += line.queue.sizeOf(more);
          // Who waits for other buckets too may be held up there, and let this call pass.
          const sure =
            line === own || line.buckets.every((other) => buckets.some((one) => one.key === other.key));
          if (!sure || !line.buckets.some((one) => one.key === key)) {
            others += urgent;
            continue;
          }
          above += urgent;
          // Another line has a turn between two of this one's, and before one that only forms.
          if (line !== own) beside += Math.min(line.queue.sizeOf(level), own ? before : 1);
        }
        return before + Math.max(beside, Math.min(above, Math.max(0, passes - others)));
      });
    },
    backlogMs: (buckets) => limiter.estimateMs(buckets, ({ key }) => crowds.get(key)?.size ?? 0),
    recheck,
    depth: () => depth,
  };
}
