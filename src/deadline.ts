import type { Clock } from './clock.ts';
import { fail } from './errors.ts';

/** Gives up on `work` after `waitMs`, with DEADLINE_EXCEEDED. The work itself goes on: others may wait for it. */
export async function within<T>(
  work: Promise<T>,
  waitMs: number | null | undefined,
  clock: Clock,
): Promise<T> {
  if (waitMs == null) return work;
  const done = new AbortController();
  const patience = clock
    .sleep(waitMs, done.signal)
    .then(() =>
      fail('DEADLINE_EXCEEDED', `The provider did not answer within ${waitMs} ms.`, new Date(clock.now())),
    );
  patience.catch(() => undefined);
  return Promise.race([work, patience]).finally(() => done.abort());
}
