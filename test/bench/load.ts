import { priorities } from '../../src/calls/fairQueue.ts';
import { systemClock as clock } from '../../src/clock.ts';
import { openSide, type SideName } from './sides.ts';

export interface Load {
  side: SideName;
  url: string;
  /** How many times the limit is asked for. */
  times: number;
  /** By the wall clock, so that processes start together. */
  startAtMs: number;
  seconds: number;
  databaseUrl: string;
}

export const limits = [
  { key: '100 a second', limit: 100, windowMs: 1_000 },
  { key: '10 a second', limit: 10, windowMs: 1_000 },
] as const;

const connections = 20;

/** Asks for calls of all limits, evenly, by 20 connections in all priorities. */
export async function overload({ side: name, url, times, startAtMs, seconds, databaseUrl }: Load) {
  const side = await openSide(name, undefined, databaseUrl);
  await clock.sleep(startAtMs - Date.now());
  const startedAt = performance.now();
  // A little longer, for the first call may arrive late.
  const endsAt = startedAt + seconds * 1_000 + 300;
  const asked = limits.map(() => 0);
  let count = 0;
  for (let now = startedAt; now < endsAt; now = performance.now()) {
    for (const [i, bucket] of limits.entries()) {
      const due = ((now - startedAt) / bucket.windowMs) * bucket.limit * times;
      for (; asked[i]! < due; asked[i]!++)
        side.ask({
          ...{ bucket, id: `${url}/${encodeURIComponent(bucket.key)}`, deadlineInMs: 2_000 },
          priority: priorities[count % priorities.length]!,
          who: `connection ${count++ % connections}`,
        });
    }
    await clock.sleep(5);
  }
  return { statements: side.statements?.() ?? 0 };
}
