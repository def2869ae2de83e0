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
  let lastAskedAt = -Infinity;
  /** Forward, oldest first. What was written by `beforeMs`, on the clock as it was, is `byMs` older than it looks. */
  const steps: { byMs: number; beforeMs: number }[] = [];

  return {
    heard(nowMs, askedAt, heardAt) {
      // One that was overtaken may be from before a step that we know of.
      if (askedAt < lastAskedAt) return;
      lastAskedAt = askedAt;
      const answerWornMs = (heardAt - askedAt) * drift;
      const least = nowMs - heardAt - answerWornMs;
      const most = nowMs - askedAt + answerWornMs;
      const wornMs = (heardAt - lastAt) * drift;
      const wornLow = low - wornMs;
      const wornHigh = high + wornMs;
      if (least > wornHigh + slackMs || most < wornLow - slackMs) {
        // What was written since is not to be moved: half-way after a step forward, and after one back what comes now.
        if (least > wornHigh)
          steps.push({ byMs: most - wornLow, beforeMs: heardAt + (wornHigh + least) / 2 });
        else for (const step of steps) step.beforeMs = Math.min(step.beforeMs, heardAt + least - 1);
        if (steps.length > mostSteps) steps.shift();
        low = least;
        high = most;
      } else {
        // Where both hold, or between the two: so a slow answer spoils nothing.
        const bounds = [Math.max(wornLow, least), Math.min(wornHigh, most)];
        low = Math.min(...bounds);
        high = Math.max(...bounds);
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
