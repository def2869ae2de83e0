import type { Clock } from '../clock.ts';
import type { SharedState } from './budgetRows.ts';

/**
 * The clock of the database, by which all processes go, as far as this process can tell: what it said came from
 * somewhere between asking and hearing. So there are an earliest and a latest guess, mostly a millisecond apart, and
 * whoever counts takes the one that is late for its purpose.
 */
export interface KeeperClock {
  heard(nowMs: number, askedAt: number, heardAt: number): void;
  earliest(): number;
  /** The latest that it can have been there at a monotonic time here; default: now. */
  latest(at?: number): number;
  /** The monotonic time here at which `keeperMs` is surely reached there. */
  surelyAt(keeperMs: number): number;
  /** The monotonic time here at which `keeperMs` may be reached there. */
  possiblyAt(keeperMs: number): number;
  /** The state with its times on the present clock, where somebody stepped that since it was written. */
  rebased(state: SharedState): SharedState;
}

/** What two clocks may drift apart. */
const drift = 2e-4;
/** Apart by more than that and their drift, two answers prove that somebody stepped the clock. */
const slackMs = 5;
/** A row from so far in the future was written before a step back; one from nearer is over soon by itself. */
const futureMs = 1_000;
const mostSteps = 8;

export function createKeeperClock(clock: Clock): KeeperClock {
  // How far it is ahead of our monotonic time, at least and at most.
  let low = clock.now() - clock.monotonic();
  let high = low;
  let lastAt = -Infinity;
  /** Forward, oldest first. What was written by `beforeMs`, on the clock as it was, is `byMs` older than it looks. */
  const steps: { byMs: number; beforeMs: number }[] = [];

  return {
    heard(nowMs, askedAt, heardAt) {
      const least = nowMs - heardAt;
      const most = nowMs - askedAt;
      const wornMs = (heardAt - lastAt) * drift;
      const forthMs = least - (high + wornMs);
      const backMs = low - wornMs - most;
      if (forthMs <= 0 && backMs <= 0) {
        // Both are right, so a slow answer spoils nothing.
        low = Math.max(low - wornMs, least);
        high = Math.min(high + wornMs, most);
      } else {
        // Half-way, for what was written since the step is not to be moved.
        if (forthMs > slackMs) steps.push({ byMs: most - low, beforeMs: heardAt + high + forthMs / 2 });
        if (backMs > slackMs) steps.length = 0;
        if (steps.length > mostSteps) steps.shift();
        low = least;
        high = most;
      }
      lastAt = heardAt;
    },
    earliest: () => clock.monotonic() + low,
    latest: (at = clock.monotonic()) => at + high,
    surelyAt: (keeperMs) => keeperMs - low,
    possiblyAt: (keeperMs) => keeperMs - high,
    rebased(state) {
      const ageMs = clock.monotonic() + low - state.atMs;
      if (ageMs < -futureMs) return shifted(state, ageMs);
      let byMs = 0;
      for (const step of steps) if (state.atMs + byMs <= step.beforeMs) byMs += step.byMs;
      // At the most it is taken for new.
      return byMs > 0 && state.atMs > 0 ? shifted(state, Math.min(byMs, Math.max(0, ageMs))) : state;
    },
  };
}

/** The state on a clock that is so far ahead of the present one. */
export function shifted(state: SharedState, byMs: number): SharedState {
  return {
    arrived: state.arrived.map(([atMs, calls]) => [atMs + byMs, calls]),
    leased: Object.fromEntries(
      Object.entries(state.leased).map(([batch, [calls, untilMs]]) => [batch, [calls, untilMs + byMs]]),
    ),
    paceMs: state.paceMs + byMs,
    aheadMs: state.aheadMs,
    pausedMs: state.pausedMs + byMs,
    atMs: state.atMs + byMs,
    asked: {},
    freeAtMs: state.freeAtMs + byMs,
  };
}
