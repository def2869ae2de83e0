import type { Clock } from '../clock.ts';
import { createPriorityQueue, type Priority, type PriorityQueue } from './priorityQueue.ts';
import type { Bucket, RateLimiter } from './rateLimit.ts';

/** Waiting for a call's turn: behind those before it, until its buckets have room. */
export interface Turns {
  /** Resolves when the buckets are taken; rejects with the signal's reason, and then nothing is taken. */
  wait(buckets: readonly Bucket[], priority: Priority, signal: AbortSignal): Promise<void>;
  /** Calls that wait for these buckets. */
  queued(buckets: readonly Bucket[]): number;
  /** Whether one more may wait. */
  hasRoom(buckets: readonly Bucket[]): boolean;
  /** At least how long one more would wait. */
  estimateMs(buckets: readonly Bucket[]): number;
}

interface Line {
  queue: PriorityQueue<() => void>;
  buckets: readonly Bucket[];
  /** Set while a look is planned. */
  planned: boolean;
}

export function createTurns(
  clock: Clock,
  limiter: RateLimiter,
  bounds: { perBucket: number; total: number },
  closing: AbortSignal,
): Turns {
  /** Calls with the same buckets stand in one line. */
  const lines = new Map<string, Line>();
  let size = 0;

  const keyOf = (buckets: readonly Bucket[]) =>
    buckets.length === 1 ? buckets[0]!.key : JSON.stringify(buckets.map((bucket) => bucket.key));

  /** Lets through whoever may go, then plans to look again when the next one may. */
  const look = (key: string, line: Line): void => {
    for (let next = line.queue.peek(); next; next = line.queue.peek()) {
      const waitMs = limiter.take(line.buckets);
      if (waitMs > 0) {
        plan(key, line, waitMs);
        return;
      }
      line.queue.remove(next);
      next();
    }
    lines.delete(key);
  };
  const plan = (key: string, line: Line, waitMs: number): void => {
    if (line.planned) return;
    line.planned = true;
    void clock.sleep(waitMs, closing).then(
      () => {
        line.planned = false;
        look(key, line);
      },
      () => undefined,
    );
  };

  return {
    wait(buckets, priority, signal) {
      const key = keyOf(buckets);
      const line = lines.get(key) ?? {
        queue: createPriorityQueue<() => void>(clock),
        buckets,
        planned: false,
      };
      if (line.queue.size === 0 && limiter.take(buckets) === 0) return Promise.resolve();
      lines.set(key, line);
      return new Promise((resolve, reject) => {
        const leave = () => {
          line.queue.remove(go);
          size--;
          reject(signal.reason as Error);
        };
        const go = () => {
          signal.removeEventListener('abort', leave);
          size--;
          resolve();
        };
        if (signal.aborted) return reject(signal.reason as Error);
        signal.addEventListener('abort', leave, { once: true });
        line.queue.add(go, priority);
        size++;
        look(key, line);
      });
    },
    queued: (buckets) => lines.get(keyOf(buckets))?.queue.size ?? 0,
    hasRoom: (buckets) =>
      size < bounds.total && (lines.get(keyOf(buckets))?.queue.size ?? 0) < bounds.perBucket,
    estimateMs(buckets) {
      const ahead = lines.get(keyOf(buckets))?.queue.size ?? 0;
      const behind = buckets.map(({ limit, windowMs }) => Math.floor(ahead / limit) * windowMs);
      return limiter.waitMs(buckets) + Math.max(0, ...behind);
    },
  };
}
