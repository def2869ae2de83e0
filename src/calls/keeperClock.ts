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

/** How much worse a sample becomes as it ages: what two clocks may drift apart. */
const drift = 2e-4;
/** Nothing but a step of the clock moves it by so much. */
const stepMs = 1_000;

export function createKeeperClock(clock: Clock): KeeperClock {
  let sample = { low: clock.now() - clock.monotonic(), high: clock.now() - clock.monotonic(), at: -Infinity };
  let step: { byMs: number; beforeMs: number } | undefined;

  return {
    heard(nowMs, askedAt, heardAt) {
      const next = { low: nowMs - heardAt, high: nowMs - askedAt, at: heardAt };
      const byMs = next.low - sample.low;
      if (sample.at > -Infinity && Math.abs(byMs) > stepMs + (heardAt - askedAt))
        step = { byMs, beforeMs: heardAt + sample.high + stepMs / 2 };
      const worn = sample.high - sample.low + (heardAt - sample.at) * drift;
      if (next.high - next.low <= worn || Math.abs(byMs) > stepMs) sample = next;
    },
    earliest: () => clock.monotonic() + sample.low,
    latest: (at = clock.monotonic()) => at + sample.high,
    surelyAt: (keeperMs) => keeperMs - sample.low,
    possiblyAt: (keeperMs) => keeperMs - sample.high,
    rebased(state) {
      const nowMs = clock.monotonic() + sample.low;
      // Written in what is the future now, or before a step forward that we noticed: it is as old as can be told.
      if (state.atMs > nowMs + stepMs) return shifted(state, nowMs - state.atMs);
      if (step && step.byMs > 0 && state.atMs > 0 && state.atMs <= step.beforeMs)
        return shifted(state, step.byMs);
      return state;
    },
  };
}

function shifted(state: SharedState, byMs: number): SharedState {
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
  };
}
