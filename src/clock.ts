import { randomBytes, randomUUID } from 'node:crypto';

/** `setTimeout` with more than this many milliseconds fires at once. */
const longestTimerMs = 2 ** 31 - 1;

export type Cancel = () => void;

/** Time and chance, passed in so that tests decide both. */
export interface Clock {
  /** Milliseconds since 1970, for what is stored or compared with other machines. */
  now(): number;
  /** Milliseconds that never step back, for durations. */
  monotonic(): number;
  /** Resolves after `ms` (any length); rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Runs `work` after `ms` (any length), unless cancelled before: cheaper than `sleep` where calls pass by the thousand. */
  timer(ms: number, work: () => void): Cancel;
  /** Uniform in [0, 1). */
  random(): number;
  randomBytes(length: number): Buffer;
  randomUUID(): string;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      if (ms <= 0) return resolve();
      const cancel = systemClock.timer(ms, () => {
        signal?.removeEventListener('abort', aborted);
        resolve();
      });
      const aborted = () => {
        cancel();
        reject(signal!.reason as Error);
      };
      signal?.addEventListener('abort', aborted, { once: true });
    }),
  timer(ms, work) {
    let handle: NodeJS.Timeout;
    const arm = (leftMs: number) => {
      handle =
        leftMs <= longestTimerMs
          ? setTimeout(work, leftMs)
          : setTimeout(() => arm(leftMs - longestTimerMs), longestTimerMs);
    };
    arm(ms);
    return () => clearTimeout(handle);
  },
  random: Math.random,
  randomBytes,
  randomUUID,
};
