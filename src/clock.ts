import { randomBytes, randomUUID } from 'node:crypto';

/** `setTimeout` with more than this many milliseconds fires at once. */
const longestTimerMs = 2 ** 31 - 1;

/** Time and chance, passed in so that tests decide both. */
export interface Clock {
  /** Milliseconds since 1970, for what is stored or compared with other machines. */
  now(): number;
  /** Milliseconds that never step back, for durations. */
  monotonic(): number;
  /** Resolves after `ms` (any length); rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Uniform in [0, 1). */
  random(): number;
  randomBytes(length: number): Buffer;
  randomUUID(): string;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    for (let left = ms; left > 0; left -= longestTimerMs) await timer(Math.min(left, longestTimerMs), signal);
    signal?.throwIfAborted();
  },
  random: Math.random,
  randomBytes,
  randomUUID,
};

function timer(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const handle = setTimeout(() => {
      signal?.removeEventListener('abort', aborted);
      resolve();
    }, ms);
    const aborted = () => {
      clearTimeout(handle);
      reject(signal!.reason as Error);
    };
    signal?.addEventListener('abort', aborted, { once: true });
  });
}
