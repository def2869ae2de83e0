import { z } from 'zod';
import type { Clock } from '../clock.ts';

/** Misbehaviour on request, for the next `count` deliveries that match. The first rule that matches applies. */
export const deliveryMisbehaviour = z.strictObject({
  count: z.int().min(1).default(1),
  /** Never sent: only polling finds it. */
  lost: z.boolean().default(false),
  /** Sent so many times more once it was acknowledged or given up. */
  duplicates: z.int().min(0).max(100).default(0),
  /** Waits first, on the sandbox's clock. */
  delayMs: z.int().min(0).default(0),
  /** Sent only after so many later deliveries had their first attempt, or after a minute. */
  after: z.int().min(0).default(0),
  /** Of all attempts. */
  signature: z.enum(['right', 'wrong-secret', 'truncated', 'missing']).default('right'),
});

export type SignatureQuality = z.infer<typeof deliveryMisbehaviour>['signature'];

export interface Rules<R> {
  /** The first that matches, counted down; undefined when none does. */
  take(matches: (rule: R) => boolean): R | undefined;
  add(rule: R): void;
  list(): readonly R[];
  clear(): void;
}

export function openRules<R extends { count: number }>(): Rules<R> {
  let rules: R[] = [];
  return {
    take(matches) {
      const rule = rules.find(matches);
      if (rule) rule.count -= 1;
      rules = rules.filter(({ count }) => count > 0);
      return rule;
    },
    add: (rule) => void rules.push({ ...rule }),
    list: () => rules,
    clear: () => {
      rules = [];
    },
  };
}

export interface Holds {
  /**
   * Resolves once `count` later deliveries to the same receiver have passed, or after a minute; rejects when the
   * sandbox closes.
   */
  wait(id: number, count: number, receiver?: number): Promise<void>;
  /** The delivery had its first attempt. */
  passed(id: number, receiver?: number): void;
}

const longestHoldMs = 60_000;

/** Deliveries that later ones overtake. Ids rise in the order in which deliveries began. */
export function openHolds(clock: Clock, signal: AbortSignal): Holds {
  let holds: { id: number; receiver: number; left: number; release: () => void }[] = [];
  return {
    async wait(id, count, receiver = 0) {
      const released = new AbortController();
      holds.push({ id, receiver, left: count, release: () => released.abort() });
      await clock
        .sleep(longestHoldMs, AbortSignal.any([signal, released.signal]))
        .catch(() => signal.throwIfAborted());
    },
    passed(id, receiver = 0) {
      for (const hold of holds) if (hold.receiver === receiver && hold.id < id) hold.left -= 1;
      for (const { release } of holds.filter(({ left }) => left <= 0)) release();
      holds = holds.filter(({ left }) => left > 0);
    },
  };
}

export interface Attempt {
  /** ISO time of sending. */
  at: string;
  /** Null: no answer. */
  status: number | null;
  /** Null: answered, with whatever status. */
  failure: 'timeout' | 'connection' | null;
}

export interface PostOptions {
  clock: Clock;
  /** When it aborts, the attempt rejects. */
  signal: AbortSignal;
  timeoutMs: number;
}

/** One POST of exactly these bytes. Redirects are not followed. */
export async function post(
  url: string,
  headers: Record<string, string>,
  body: string,
  { clock, signal, timeoutMs }: PostOptions,
): Promise<Attempt> {
  const late = new AbortController();
  const cancel = clock.timer(timeoutMs, () => late.abort());
  const at = new Date(clock.now()).toISOString();
  try {
    const answer = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      headers,
      body,
      signal: AbortSignal.any([signal, late.signal]),
    });
    await answer.body?.cancel();
    return { at, status: answer.status, failure: null };
  } catch {
    signal.throwIfAborted();
    return { at, status: null, failure: late.signal.aborted ? 'timeout' : 'connection' };
  } finally {
    cancel();
  }
}
