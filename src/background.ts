import type { Clock } from './clock.ts';

/** Work that is done again and again, one round at a time, until stopped. */
export interface Background {
  start(): void;
  /** Waits for the round under way. */
  stop(): Promise<void>;
}

/**
 * @param everyMs between rounds, drawn from three quarters to five quarters of it, so that processes which started
 *   together do not go on together
 * @param round answers whether there is more to do at once
 */
export function createBackground(
  clock: Clock,
  everyMs: number,
  round: () => Promise<boolean>,
  onError: (error: unknown) => void,
): Background {
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const go = async () => {
    while (!stopping.signal.aborted) {
      const more = await round().catch((error: unknown) => {
        onError(error);
        return false;
      });
      // The embedded database answers without the event loop, which has its turn here: round after round would stop all else.
      if (more) await new Promise(setImmediate);
      else await clock.sleep(everyMs * (0.75 + clock.random() / 2), stopping.signal).catch(() => undefined);
    }
  };
  return {
    start() {
      running = go();
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
