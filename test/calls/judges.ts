/**
 * Judgements that tests of ours and of the textbook's wrong forms share: what cannot tell the two apart proves nothing.
 */

/** The most calls in any window of `windowMs`, wherever it starts. `times` in order. */
export function worstWindow(times: readonly number[], windowMs: number): number {
  let worst = 0;
  for (let first = 0, last = 0; last < times.length; last++) {
    while (times[last]! - times[first]! >= windowMs) first++;
    worst = Math.max(worst, last - first + 1);
  }
  return worst;
}

/** When calls went that came at ten times the limit, after a rest that ends shortly before a full window. */
export function overloadTimes(
  limit: number,
  windowMs: number,
  take: (nowMs: number) => boolean,
): readonly number[] {
  const times: number[] = [];
  const step = windowMs / 1_000;
  for (let now = 5.9 * windowMs; now < 9.9 * windowMs; now += step)
    for (let i = 0; i < Math.ceil((10 * limit) / 1_000); i++) if (take(now)) times.push(now);
  return times;
}

/** How many of 200 that come together are let through. */
export function letThrough(admit: () => unknown): number {
  return Array.from({ length: 200 }, admit).filter(Boolean).length;
}

/** Whether the next probe is let through when the caller of the one before gave up. */
export function freeAfterGivingUp(breaker: { admit(): { abandoned(): void } | undefined }): boolean {
  breaker.admit()!.abandoned();
  return breaker.admit() !== undefined;
}

/** Turns until the first call that is not of level 0; Infinity when there is none among a thousand. */
export function turnsUntilLower(nextLevel: () => number): number {
  for (let turns = 0; turns < 1_000; turns++) if (nextLevel() > 0) return turns;
  return Infinity;
}

/** How many different connections have had a turn after so many. */
export function servedAfter(turns: number, nextWho: () => string): number {
  return new Set(Array.from({ length: turns }, nextWho)).size;
}

/** Whether a timer of `ms` keeps still for 20 ms of real time. */
export async function waits(
  timer: (ms: number, work: () => void) => () => void,
  ms: number,
): Promise<boolean> {
  let fired = false;
  const cancel = timer(ms, () => (fired = true));
  await new Promise((resolve) => setTimeout(resolve, 20));
  cancel();
  return !fired;
}
