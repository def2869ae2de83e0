import type { Clock } from '../../src/clock.ts';

// The well-known forms that are wrong, each as short as it is mostly written. They are here to fail.

/** A burst as large as the limit: what it refills during the burst's window comes on top. */
export function tokenBucket(limit: number, windowMs: number) {
  let tokens = limit;
  let at = 0;
  return (now: number): boolean => {
    tokens = Math.min(limit, tokens + ((now - at) * limit) / windowMs);
    at = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  };
}

/** Counts by the clock's windows: a full one and the next full one may lie side by side. */
export function fixedWindow(limit: number, windowMs: number) {
  let window = -1;
  let count = 0;
  return (now: number): boolean => {
    const current = Math.floor(now / windowMs);
    if (current !== window) [window, count] = [current, 0];
    return ++count <= limit;
  };
}

/** Computes the wait, sleeps outside of any lock, then sets the tokens to 0: all who wait compute the same wait. */
export function sleepingBucket(clock: Clock, limit: number, windowMs: number) {
  let tokens = limit;
  return async (): Promise<void> => {
    if (tokens < 1) {
      await clock.sleep((1 - tokens) * (windowMs / limit));
      tokens = 0;
    } else tokens -= 1;
  };
}

/** Lets everybody through once the time is over, until somebody reports. */
export function manyProbes(openForMs: number) {
  const openedAt = 0;
  return (now: number): boolean => now - openedAt >= openForMs;
}

/** Remembers that a probe is out, and forgets nothing when its caller gives up. */
export function wedgedProbe() {
  let probing = false;
  return {
    admit: () => (probing ? undefined : ((probing = true), { abandoned() {} })),
  };
}

/** The delay is the signal: 0 means stop. */
export async function delayZeroStops(attempts: number, random: () => number, work: () => Promise<boolean>) {
  for (let failed = 1; failed <= attempts; failed++) {
    if (await work()) return;
    const delayMs = Math.floor(random() * 100 * 2 ** failed);
    if (delayMs === 0) return;
  }
}

/** Asks the date parser first: it takes seconds for a year. */
export function dateFirst(value: string, nowMs: number): number | undefined {
  const date = Date.parse(value);
  if (!Number.isNaN(date)) return Math.max(0, date - nowMs);
  return Number.isNaN(Number(value)) ? undefined : Number(value) * 1_000;
}

/** Whatever is longer than 2^31 ms fires at once. */
export function plainTimer(ms: number, work: () => void) {
  const handle = setTimeout(work, ms);
  return () => clearTimeout(handle);
}

/** No end to how long the provider may send us away: beyond 2^31 ms a timer fires at once. */
export const uncapped = (value: string): number => Number(value) * 1_000;

/** Levels without ageing, and within one first come, first served. */
export function strictQueue() {
  const lanes: { level: number; who: string }[][] = [[], [], [], []];
  return {
    add: (level: number, who: string) => void lanes[level]!.push({ level, who }),
    next: () => lanes.find((lane) => lane.length > 0)?.shift(),
  };
}
