import type { Clock } from '../clock.ts';

/** Waiting for news of something by its key, with a look every now and then behind it: news can be lost. */
export interface Wakeups {
  /** Resolves at the next `wake` of the key, or after `ms`. */
  wait(key: string, ms: number): Promise<void>;
  wake(key: string): void;
  /** Something may have been missed. */
  wakeAll(): void;
}

export function createWakeups(clock: Clock): Wakeups {
  const waiting = new Map<string, Set<() => void>>();
  const wake = (key: string) => {
    const own = waiting.get(key);
    waiting.delete(key);
    for (const resume of own ?? []) resume();
  };
  return {
    wait: (key, ms) =>
      new Promise((resolve) => {
        const resume = () => {
          cancel();
          const own = waiting.get(key);
          own?.delete(resume);
          if (own?.size === 0) waiting.delete(key);
          resolve();
        };
        const cancel = clock.timer(ms, resume);
        const own = waiting.get(key) ?? new Set();
        waiting.set(key, own.add(resume));
      }),
    wake,
    wakeAll() {
      for (const key of waiting.keys()) wake(key);
    },
  };
}
