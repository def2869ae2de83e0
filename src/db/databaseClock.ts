import { sql } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Database } from './database.ts';

const lookMs = 60_000;
/** What a busy network makes of two equal clocks. */
const noiseMs = 250;
/** Worth a line in the log. */
const strikingMs = 2_000;

/**
 * A clock by which all processes on one database agree: this machine's, corrected by how far the database's is ahead.
 * What is stored says when a token runs out, and is read by machines whose own clocks may be minutes apart. Durations,
 * timers and chance stay those of `clock`. Embedded, the two are one.
 *
 * @param onApart called when the difference is found to be striking, and each time that it moves
 */
export async function openDatabaseClock(
  database: Database,
  clock: Clock,
  onApart: (aheadMs: number) => void,
): Promise<{ clock: Clock; close(): Promise<void> }> {
  if (database.kind === 'embedded') return { clock, close: () => Promise.resolve() };
  let aheadMs = 0;
  const look = async () => {
    const askedAt = clock.monotonic();
    const { rows } = await sql<{ ms: number }>`
      select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms`.execute(database.db);
    const tookMs = clock.monotonic() - askedAt;
    const found = rows[0]!.ms - (clock.now() - tookMs / 2);
    if (Math.abs(found - aheadMs) <= noiseMs + tookMs / 2) return;
    aheadMs = found;
    if (Math.abs(aheadMs) > strikingMs) onApart(-aheadMs);
  };
  await look();

  const closing = new AbortController();
  const running = (async () => {
    while (!closing.signal.aborted) {
      await clock.sleep(lookMs, closing.signal).catch(() => undefined);
      // A database that is away is noticed by everybody else.
      if (!closing.signal.aborted) await look().catch(() => undefined);
    }
  })();
  return {
    clock: { ...clock, now: () => clock.now() + aheadMs },
    async close() {
      closing.abort();
      await running;
    },
  };
}
