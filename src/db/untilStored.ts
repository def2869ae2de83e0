import type { Clock } from '../clock.ts';

const firstPauseMs = 50;
const longestPauseMs = 1_000;

/**
 * Repeats a write whose content exists nowhere else, while the database is away. `write` is one transaction that may
 * be repeated. What the database refuses however often it is asked (wrong data, a broken constraint, a wrong
 * statement), and what `isFinal` says, is thrown at once; the rest after `withinMs`.
 */
export async function untilStored<T>(
  clock: Clock,
  write: () => Promise<T>,
  options: { withinMs: number; isFinal(error: unknown): boolean; onRetry(error: unknown): void },
): Promise<T> {
  const giveUpAt = clock.monotonic() + options.withinMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      return await write();
    } catch (error) {
      if (options.isFinal(error) || isRefused(error) || clock.monotonic() + pauseMs > giveUpAt) throw error;
      options.onRetry(error);
      await clock.sleep(pauseMs);
    }
  }
}

function isRefused(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && /^(22|23|42)...$/.test(code);
}
