import { priorities, type Priority } from '../../src/calls/fairQueue.ts';
import { createRateLimiter, type RateLimiter } from '../../src/calls/rateLimit.ts';
import type { Slot } from '../../src/calls/slots.ts';
import { createTurns, type Turns } from '../../src/calls/turns.ts';
import type { Bucket } from '../../src/calls/window.ts';
import { manualClock } from '../support/manualClock.ts';

export { worstWindow } from './judges.ts';

export interface Manner {
  priority?: Priority;
  who?: string;
  signal?: AbortSignal;
  refusal?: () => Error | undefined;
}

/** One call's turn: at once, or after standing in line. Rejects when it leaves or is refused. */
export function stand(turns: Turns, buckets: readonly Bucket[], manner: Manner = {}): Promise<Slot> {
  const { priority = 'poll', who = '', signal, refusal = () => undefined } = manner;
  const level = priorities.indexOf(priority);
  return new Promise((resolve, reject) => {
    const refused = refusal();
    if (refused) return reject(refused);
    const slot = turns.now(buckets, level);
    if (slot) return resolve(slot);
    const leave = () => {
      turns.leave(place);
      reject(signal!.reason as Error);
    };
    const place = turns.wait({ integration: 'x', buckets, refusal, go: resolve, end: reject }, level, who);
    signal?.addEventListener('abort', leave, { once: true });
  });
}

/** A queue before an in-memory limiter, on a clock that the test moves; calls arrive as soon as they go. */
export function openTurns(
  bounds = { perBucket: 100_000, total: 100_000 },
  /** How late this machine's timers are. */
  lateMs = () => 0,
) {
  const clock = manualClock();
  const timer = clock.timer.bind(clock);
  clock.timer = (ms, work) => timer(ms + lateMs(), work);
  const limiter: RateLimiter = createRateLimiter(clock);
  const turns = createTurns(clock, limiter, bounds);
  /** Who went, or why not. */
  const order: string[] = [];
  const wait = async (name: string, buckets: readonly Bucket[], manner: Manner = {}): Promise<void> => {
    try {
      const slot = await stand(turns, buckets, manner);
      order.push(name);
      slot.ended();
    } catch (error) {
      order.push(`${name}: ${(error as Error).message}`);
    }
  };
  return { clock, limiter, turns, order, wait };
}
