/**
 * A limit as the provider counts it: at most `limit` calls in any `windowMs`; with `windowMs` 0, at most `limit` calls
 * under way at one time. The key names app, account and limit, so that it is one budget for all who share it.
 */
export interface Bucket {
  readonly key: string;
  readonly limit: number;
  readonly windowMs: number;
  /** It counts other accounts' calls too: what one account is told does not pause it. */
  readonly appWide?: boolean;
}

/** As it is stored. Times are milliseconds of one clock, the keeper's. */
export interface WindowState {
  /** Calls that have arrived at the provider by a time, oldest first. */
  arrived: [atMs: number, calls: number][];
  /** Calls that somebody may still make, or that are under way; by `untilMs` they have arrived or never will. */
  leased: Record<string, [calls: number, untilMs: number]>;
  /** When the calls so far would be over if they had been spread evenly: the pace. */
  paceMs: number;
  /** How far the pace was ahead after the last call. */
  aheadMs: number;
  pausedMs: number;
}

/**
 * The budget of one limit as a strict sliding window: no window of the provider's, wherever it starts, sees more than
 * the limit. (A token bucket whose burst equals the limit lets twice the limit through.)
 *
 * A call moves from leased to arrived. The provider's clock starts when a call arrives there: later than ours, and
 * after a different delay for each. So a lease counts until its call is known to have arrived, which the answer
 * proves, and from then on for one window.
 */
export interface Window {
  /**
   * When one call may go, once `ahead` more have gone; Infinity while that depends on calls that are leased. Urgent
   * ones may be ahead of the pace by a quarter of the budget; others keep to it, and leave that quarter to those.
   */
  freeAt(nowMs: number, ahead?: number, urgent?: boolean): number;
  /** The same as a guess at least, never Infinity. */
  estimate(nowMs: number, ahead: number): number;
  /**
   * Takes one for `holder`. `freeAtMs`: when this limit would have let it go, even where another holds it up longer.
   * `waited`: there was a queue, in which nobody regains what may be ahead of the pace.
   */
  lease(holder: string, untilMs: number, freeAtMs: number, waited: boolean): void;
  /** A leased call has arrived by `atMs`. Ignored when the lease has ended: then it counts already. */
  arrive(holder: string, atMs: number): void;
  /** A leased call was not made. */
  giveBack(holder: string): void;
  /** Calls that the provider has counted and we have not; they leave at `leavesAtMs`. */
  charge(calls: number, leavesAtMs: number): void;
  /** A shorter pause never ends a longer one. */
  pause(untilMs: number): void;
  pausedUntil(): number;
  used(nowMs: number): number;
  /** How many more may go until `byMs`. */
  freeBy(nowMs: number, byMs: number, urgent: boolean): number;
  /** When the last of the used ones leaves; undefined when nothing is used. */
  emptyAt(nowMs: number): number | undefined;
  state(): WindowState;
}

/** For a provider whose clock counts in whole milliseconds, and one that runs faster than ours. */
const guardMs = 5;
const clockDrift = 2e-4;
/** So much of the limit may go at once after a rest, if it is urgent; more is spread evenly. */
const burstShare = 0.25;
/** What a busy event loop may make up for. */
const catchUpMs = 100;
/** Of a larger limit, calls that arrive in the same part of the window are one entry, at the time of the last. */
const mostEntries = 128;

export function createWindow({ limit, windowMs }: Omit<Bucket, 'key'>, state?: WindowState): Window {
  const heldMs = windowMs === 0 ? 0 : windowMs * (1 + clockDrift) + guardMs;
  const stepMs = windowMs / limit;
  const creditMs = (Math.max(1, Math.ceil(limit * burstShare)) - 1) * stepMs;
  const times: number[] = [];
  const counts: number[] = [];
  let head = 0;
  let arrived = 0;
  const leases = new Map<string, { calls: number; untilMs: number }>();
  let leased = 0;
  let nextEndMs = Infinity;
  let paceMs = state?.paceMs ?? -Infinity;
  let aheadMs = state?.aheadMs ?? 0;
  let pausedMs = state?.pausedMs ?? -Infinity;

  // Fixed, for an entry that moved along with its calls would take in all of a steady stream.
  const grain = (atMs: number) => Math.floor((atMs * mostEntries) / windowMs);
  const count = (atMs: number, calls: number) => {
    if (windowMs === 0 || calls <= 0) return;
    arrived += calls;
    let at = times.length;
    while (at > head && times[at - 1]! > atMs) at--;
    if (times.length - head >= mostEntries && at > head && grain(atMs) === grain(times[at - 1]!)) {
      // The entry moves to the later time, which still stands before the next.
      times[at - 1] = atMs;
      counts[at - 1]! += calls;
    } else if (at === times.length) {
      times.push(atMs);
      counts.push(calls);
    } else {
      times.splice(at, 0, atMs);
      counts.splice(at, 0, calls);
    }
  };
  const remember = (holder: string, calls: number, untilMs: number) => {
    const own = leases.get(holder);
    if (own) {
      own.calls += calls;
      own.untilMs = Math.max(own.untilMs, untilMs);
    } else leases.set(holder, { calls, untilMs });
    leased += calls;
    nextEndMs = Math.min(nextEndMs, untilMs);
  };
  const forget = (holder: string): boolean => {
    const own = leases.get(holder);
    if (!own || own.calls === 0) return false;
    leased--;
    if (--own.calls === 0 && own.untilMs < Infinity) leases.delete(holder);
    return true;
  };
  const expire = (nowMs: number) => {
    if (nextEndMs <= nowMs) {
      nextEndMs = Infinity;
      for (const [holder, { calls, untilMs }] of leases)
        if (untilMs <= nowMs) {
          leases.delete(holder);
          leased -= calls;
          count(untilMs, calls);
        } else nextEndMs = Math.min(nextEndMs, untilMs);
    }
    while (head < times.length && times[head]! + heldMs <= nowMs) arrived -= counts[head++]!;
    if (head > 64 && head * 2 > times.length) {
      times.splice(0, head);
      counts.splice(0, head);
      head = 0;
    }
  };
  /** When the `nth` of the arrived ones leaves. */
  const leavesAt = (nth: number) => {
    let at = head;
    for (let seen = counts[at]!; seen < nth; seen += counts[at]!) at++;
    return times[at]! + heldMs;
  };
  const toleranceMs = (urgent: boolean) => (urgent ? creditMs : Math.min(creditMs, catchUpMs));
  const notBefore = (nowMs: number, ahead: number, urgent: boolean) =>
    windowMs === 0
      ? Math.max(nowMs, pausedMs)
      : Math.max(nowMs, pausedMs, paceMs - toleranceMs(urgent) + ahead * stepMs);

  for (const [atMs, calls] of state?.arrived ?? []) count(atMs, calls);
  for (const [holder, [calls, untilMs]] of Object.entries(state?.leased ?? {}))
    remember(holder, calls, untilMs);

  return {
    freeAt(nowMs, ahead = 0, urgent = true) {
      expire(nowMs);
      const leaving = arrived + leased + ahead + 1 - limit;
      if (leaving > arrived) return Infinity;
      return Math.max(leaving > 0 ? leavesAt(leaving) : nowMs, notBefore(nowMs, ahead, urgent));
    },
    estimate(nowMs, ahead) {
      expire(nowMs);
      const leaving = arrived + leased + ahead + 1 - limit;
      if (leaving <= 0) return notBefore(nowMs, ahead, true);
      // Who leaves beyond those that have arrived goes a window after the one `limit` before it.
      const rounds = leaving <= arrived ? 0 : Math.ceil((leaving - arrived) / limit);
      const nth = leaving - rounds * limit;
      const leaves = nth > 0 ? leavesAt(nth) : nowMs;
      return Math.max(leaves + rounds * heldMs, notBefore(nowMs, ahead, true));
    },
    lease(holder, untilMs, freeAtMs, waited) {
      remember(holder, 1, untilMs);
      // Who waits for this pace follows the one before by a step: a longer gap has another reason, and is a rest.
      const queued = waited && freeAtMs - (paceMs - aheadMs) <= 2 * stepMs + catchUpMs;
      const least = queued
        ? freeAtMs + Math.max(0, Math.min(aheadMs, creditMs) - stepMs) - catchUpMs
        : freeAtMs;
      paceMs = Math.max(paceMs, least) + stepMs;
      aheadMs = Math.max(0, paceMs - freeAtMs);
    },
    arrive(holder, atMs) {
      if (forget(holder)) count(atMs, 1);
    },
    giveBack(holder) {
      if (forget(holder)) paceMs -= stepMs;
    },
    charge: (calls, leavesAtMs) => count(leavesAtMs - heldMs, calls),
    pause(untilMs) {
      pausedMs = Math.max(pausedMs, untilMs);
    },
    pausedUntil: () => pausedMs,
    used(nowMs) {
      expire(nowMs);
      return arrived + leased;
    },
    freeBy(nowMs, byMs, urgent) {
      expire(nowMs);
      if (pausedMs > byMs) return 0;
      let free = limit - arrived - leased;
      for (let at = head; at < times.length && times[at]! + heldMs <= byMs; at++) free += counts[at]!;
      const paced = windowMs === 0 ? Infinity : Math.floor((byMs - notBefore(nowMs, 0, urgent)) / stepMs) + 1;
      return Math.max(0, Math.min(free, paced));
    },
    emptyAt(nowMs) {
      expire(nowMs);
      if (leased > 0) return nowMs + windowMs;
      return arrived > 0 ? times.at(-1)! + heldMs : undefined;
    },
    state() {
      return {
        // Rounded up: a call never leaves early.
        arrived: times.slice(head).map((atMs, i) => [Math.ceil(atMs), counts[head + i]!]),
        leased: Object.fromEntries(
          [...leases].map(([holder, { calls, untilMs }]) => [holder, [calls, Math.ceil(untilMs)]]),
        ),
        paceMs: Math.max(0, paceMs),
        aheadMs,
        pausedMs: Math.max(0, pausedMs),
      };
    },
  };
}
