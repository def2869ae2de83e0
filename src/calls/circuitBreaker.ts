import type { Clock } from '../clock.ts';

/**
 * One for each integration and host.
 *
 *   CLOSED     calls pass; their outcomes of the last 30 s are counted. Half of at least 10 failing: OPEN.
 *   OPEN       nothing passes until a jittered 5 to 10 s are over, then the next call finds it HALF_OPEN.
 *   HALF_OPEN  exactly one call passes, the probe; the others are refused at once. It succeeds: CLOSED, counting from
 *              nothing. It fails: OPEN. It reports nothing: after `probeWithinMs`, or when its caller gives up, the place is free.
 */
export interface CircuitBreaker {
  /** Milliseconds after which to ask again; 0 when a call may pass now. Takes nothing. */
  refusedForMs(): number;
  /** A call that passes, to be reported once; undefined when it is refused. */
  admit(): Permit | undefined;
  /** HEALTHY, or DEGRADED when half open or a fifth fails, or DOWN when open. */
  health(): Health;
  state(): BreakerState;
}

/** The first report counts. */
export interface Permit {
  succeeded(): void;
  failed(): void;
  /** Nothing was learnt: the call was not made, or its caller gave up. */
  abandoned(): void;
}

export type BreakerState = 'closed' | 'halfOpen' | 'open';
export type Health = 'HEALTHY' | 'DEGRADED' | 'DOWN';

const sliceMs = 1_000;
const slices = 30;
const minimumCalls = 10;
const openAtRate = 0.5;
const degradedAtRate = 0.2;
const openForMs = { least: 5_000, most: 10_000 };
/** What a refused caller is told while a probe is under way. */
const probingHintMs = 1_000;

/** `probeWithinMs`: longer than an attempt can take, or a second probe starts beside a slow one. */
export function createCircuitBreaker(clock: Clock, probeWithinMs: number): CircuitBreaker {
  const counts = Array.from({ length: slices }, () => ({ slice: -Infinity, calls: 0, failures: 0 }));
  let openUntil: number | undefined;
  let probe: { permit: object; until: number } | undefined;

  const count = (failed: boolean) => {
    const slice = Math.floor(clock.monotonic() / sliceMs);
    const own = counts[slice % slices]!;
    if (own.slice !== slice) Object.assign(own, { slice, calls: 0, failures: 0 });
    own.calls++;
    if (failed) own.failures++;
  };
  const rate = () => {
    const oldest = Math.floor(clock.monotonic() / sliceMs) - slices;
    const recent = counts.filter(({ slice }) => slice > oldest);
    const calls = recent.reduce((sum, one) => sum + one.calls, 0);
    const failures = recent.reduce((sum, one) => sum + one.failures, 0);
    return calls < minimumCalls ? 0 : failures / calls;
  };
  const open = () => {
    const { least, most } = openForMs;
    openUntil = clock.monotonic() + least + clock.random() * (most - least);
    probe = undefined;
  };
  const close = () => {
    openUntil = probe = undefined;
    for (const one of counts) one.slice = -Infinity;
  };

  const refusedForMs = () => {
    if (openUntil === undefined) return 0;
    const now = clock.monotonic();
    if (now < openUntil) return openUntil - now;
    return probe && now < probe.until ? Math.min(probingHintMs, probe.until - now) : 0;
  };

  const state = (): BreakerState => {
    if (openUntil === undefined) return 'closed';
    return clock.monotonic() < openUntil ? 'open' : 'halfOpen';
  };

  return {
    refusedForMs,
    admit() {
      if (refusedForMs() > 0) return undefined;
      const probing = openUntil !== undefined;
      let reported = false;
      const once = (report: () => void) => () => {
        if (reported) return;
        reported = true;
        report();
      };
      const mine = () => probe?.permit === permit;
      const permit: Permit = {
        succeeded: once(() => {
          if (!probing) count(false);
          else if (mine()) close();
        }),
        failed: once(() => {
          if (probing) {
            if (mine()) open();
            return;
          }
          count(true);
          if (openUntil === undefined && rate() >= openAtRate) open();
        }),
        abandoned: once(() => {
          if (mine()) probe = undefined;
        }),
      };
      if (probing) probe = { permit, until: clock.monotonic() + probeWithinMs };
      return permit;
    },
    health() {
      if (state() === 'closed') return rate() >= degradedAtRate ? 'DEGRADED' : 'HEALTHY';
      return state() === 'open' ? 'DOWN' : 'DEGRADED';
    },
    state,
  };
}
