import type { Clock } from '../clock.ts';
import { createPriorityQueue, type Priority, type PriorityQueue } from './priorityQueue.ts';
import type { Bucket, RateLimiter, Slot } from './rateLimit.ts';

/**
 * Waiting for a call's turn: behind those before it, until all its buckets have room.
 *
 * Calls with the same buckets stand in one line. Where lines share a bucket, the first by priority and age of those
 * that could go now goes. A line held up by another of its buckets holds up nobody else: one paused account must not
 * stop all that share the application's limit with it.
 */
export interface Turns {
  /**
   * Resolves with what `gate.enter` gives when the buckets are taken. Rejects with the signal's reason, or with the
   * gate's refusal; then nothing is taken.
   */
  wait<T>(buckets: readonly Bucket[], priority: Priority, signal: AbortSignal, gate: Gate<T>): Promise<T>;
  /** Calls that wait for the most wanted of these buckets. */
  queued(buckets: readonly Bucket[]): number;
  /** Whether one more may wait. */
  hasRoom(buckets: readonly Bucket[]): boolean;
  /** At least how long one more would wait, unless others leave. */
  estimateMs(buckets: readonly Bucket[], priority: Priority): number;
  /** Ends at once whoever waits and is refused by now. */
  recheck(): void;
}

export interface Gate<T> {
  /** Filled when the buckets are taken. */
  slot?: Slot;
  /** Why the call may not go. Asked before the buckets are taken, so that who is refused uses nothing up. */
  refusal(): Error | undefined;
  /** Runs in the instant in which the buckets are taken. */
  enter(): T;
}

interface Waiter {
  slot: Slot | undefined;
  refusal(): Error | undefined;
  go(): void;
  end(reason: Error): void;
}

interface Line {
  key: string;
  buckets: readonly Bucket[];
  queue: PriorityQueue<Waiter>;
  /** Set while a look is planned. */
  planned: boolean;
  /** Ends the planned look when the line is empty. */
  gone: AbortController;
}

/** Everybody who waits for one bucket. */
interface Crowd {
  lines: Set<Line>;
  size: number;
}

export function createTurns(
  clock: Clock,
  limiter: RateLimiter,
  bounds: { perBucket: number; total: number },
): Turns {
  const lines = new Map<string, Line>();
  const crowds = new Map<string, Crowd>();
  let size = 0;

  const keyOf = (buckets: readonly Bucket[]) => JSON.stringify(buckets.map(({ key }) => key));

  const add = (line: Line, waiter: Waiter, priority: Priority) => {
    line.queue.add(waiter, priority);
    size++;
    for (const { key } of line.buckets) {
      let crowd = crowds.get(key);
      if (!crowd) crowds.set(key, (crowd = { lines: new Set(), size: 0 }));
      crowd.lines.add(line);
      crowd.size++;
    }
    lines.set(line.key, line);
  };
  const remove = (line: Line, waiter: Waiter) => {
    line.queue.remove(waiter);
    size--;
    const empty = line.queue.size === 0;
    for (const { key } of line.buckets) {
      const crowd = crowds.get(key)!;
      crowd.size--;
      if (empty) crowd.lines.delete(line);
      if (crowd.size === 0) crowds.delete(key);
    }
    if (!empty) return;
    lines.delete(line.key);
    line.gone.abort();
  };

  /** The first of a line who is not refused. */
  const head = (line: Line): Waiter | undefined => {
    for (let first = line.queue.peek(); first; first = line.queue.peek()) {
      const refusal = first.refusal();
      if (!refusal) return first;
      first.end(refusal);
    }
    return undefined;
  };

  /** Of a line that could go now and those that share a bucket with it: the one whose turn it is. */
  const foremost = (line: Line): Line => {
    let best = line;
    for (const { key } of line.buckets)
      for (const other of crowds.get(key)!.lines)
        if (other !== best && head(other) && other.queue.firstDueAt() < best.queue.firstDueAt())
          if (limiter.waitMs(other.buckets) <= 0) best = other;
    return best;
  };

  /** Lets through whoever may go, then plans to look again when the next one may. */
  const look = (line: Line): void => {
    while (head(line)) {
      const waitMs = limiter.waitMs(line.buckets);
      if (waitMs > 0) return plan(line, waitMs);
      const next = foremost(line);
      const waiter = next.queue.peek()!;
      limiter.take(next.buckets, waiter.slot);
      remove(next, waiter);
      waiter.go();
    }
  };
  const plan = (line: Line, waitMs: number): void => {
    if (line.planned) return;
    line.planned = true;
    void clock.sleep(waitMs, line.gone.signal).then(
      () => {
        line.planned = false;
        look(line);
      },
      () => undefined,
    );
  };

  return {
    wait(buckets, priority, signal, gate) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason as Error);
        const refusal = gate.refusal();
        if (refusal) return reject(refusal);
        if (buckets.every(({ key }) => !crowds.has(key)) && limiter.take(buckets, gate.slot) === 0)
          return resolve(gate.enter());
        const key = keyOf(buckets);
        const line = lines.get(key) ?? {
          key,
          buckets,
          queue: createPriorityQueue<Waiter>(clock),
          planned: false,
          gone: new AbortController(),
        };
        const leave = () => waiter.end(signal.reason as Error);
        const waiter: Waiter = {
          slot: gate.slot,
          refusal: gate.refusal,
          go() {
            signal.removeEventListener('abort', leave);
            resolve(gate.enter());
          },
          end(reason) {
            signal.removeEventListener('abort', leave);
            remove(line, waiter);
            reject(reason);
          },
        };
        signal.addEventListener('abort', leave, { once: true });
        add(line, waiter, priority);
        look(line);
      });
    },
    queued: (buckets) => Math.max(0, ...buckets.map(({ key }) => crowds.get(key)?.size ?? 0)),
    hasRoom: (buckets) =>
      size < bounds.total && buckets.every(({ key }) => (crowds.get(key)?.size ?? 0) < bounds.perBucket),
    estimateMs(buckets, priority) {
      const own = new Set(buckets.map(({ key }) => key));
      // Who waits for other buckets too may be held up there, and let this call pass.
      const surelyAhead = (line: Line) =>
        line.buckets.every(({ key }) => own.has(key)) ? line.queue.ahead(priority) : 0;
      return limiter.waitMs(buckets, ({ key }) =>
        [...(crowds.get(key)?.lines ?? [])].reduce((sum, line) => sum + surelyAhead(line), 0),
      );
    },
    recheck() {
      for (const line of lines.values())
        for (const waiter of line.queue.all()) {
          const refusal = waiter.refusal();
          if (refusal) waiter.end(refusal);
        }
    },
  };
}
