import type { Clock } from '../clock.ts';

/** Runs `work` every so often, on one timer for all that need it. */
export function createTicker(clock: Clock, everyMs: number, work: () => void): { stop(): void } {
  let cancel = clock.timer(everyMs, tick);
  function tick() {
    cancel = clock.timer(everyMs, tick);
    work();
  }
  return { stop: () => cancel() };
}
