import type { Clock } from '../clock.ts';

/** A limit as the provider counts it: at most `limit` calls in any `windowMs`. The key names app, account and limit. */
export interface Bucket {
  key: string;
  limit: number;
  windowMs: number;
}

export interface BudgetView {
  limit: number;
  windowMs: number;
  remaining: number;
  /** When the whole limit is free again, by `clock.now()`; undefined while it is. */
  resetsAtMs: number | undefined;
  pausedUntilMs: number | undefined;
}

/** A call in the windows that it counts in. */
export interface Slot {
  /** The latest monotonic time at which the provider can have counted it. */
  arrivedBy: number;
}

/**
 * Strict sliding windows: the times of the last calls are kept, so no window of the provider's, wherever it starts, sees
 * more than the limit. (A token bucket whose burst equals the limit lets twice the limit through.) A call that counts
 * against several buckets takes all of them or none.
 *
 * The provider's clock starts when a call arrives there, later than ours, and by a different delay for each: a cold
 * line takes its time. So a call leaves its window a window after the answer, by when it had surely arrived.
 */
export interface RateLimiter {
  /** 0 when taken, otherwise the milliseconds after which to ask again. Without a slot the call arrives now. */
  take(buckets: readonly Bucket[], slot?: Slot): number;
  /** The call was answered, or ended otherwise. */
  arrived(slot: Slot): void;
  /** What `take` would answer, without taking, once `ahead` more calls had been taken from each bucket. */
  waitMs(buckets: readonly Bucket[], ahead?: (bucket: Bucket) => number): number;
  /** Lets nobody through for `ms`. A shorter pause never ends a longer one. */
  pause(buckets: readonly Bucket[], ms: number): void;
  pausedMs(buckets: readonly Bucket[]): number;
  /** The bucket with the fewest calls left. */
  view(buckets: readonly Bucket[]): BudgetView | undefined;
  /** Buckets that are remembered. */
  readonly size: number;
}

/** A slow answer holds no place up for longer than this: by then a call has arrived, or never will. */
const transitMs = 100;
/** For a timer that fires early and a provider whose clock runs a little faster. */
const jitterMs = 5;
/** Buckets that are wholly free are forgotten, this many looks apart. */
const sweepEvery = 1_000;

interface State {
  /** The calls in the window, oldest first; what stands before `start` has left it. */
  times: Slot[];
  start: number;
  pausedUntil: number;
  windowMs: number;
}

export function createRateLimiter(clock: Clock): RateLimiter {
  const states = new Map<string, State>();
  let looks = 0;

  const stateOf = (bucket: Bucket): State => {
    let state = states.get(bucket.key);
    if (!state) states.set(bucket.key, (state = { times: [], start: 0, pausedUntil: 0, windowMs: 0 }));
    state.windowMs = bucket.windowMs;
    expire(state, bucket.windowMs, clock.monotonic());
    return state;
  };

  const waitMs = (buckets: readonly Bucket[], ahead?: (bucket: Bucket) => number): number => {
    const now = clock.monotonic();
    let wait = 0;
    for (const bucket of buckets) {
      const { times, start, pausedUntil } = stateOf(bucket);
      wait = Math.max(wait, pausedUntil - now);
      const used = times.length - start;
      const { limit } = bucket;
      const heldMs = bucket.windowMs + jitterMs;
      // The call that must leave the window before one more fits in: a past one, or one of those ahead, which in turn
      // waits for the one `limit` before it.
      const leaving = used + (ahead?.(bucket) ?? 0) - limit;
      if (leaving < 0) continue;
      const rounds = leaving < used ? 0 : Math.ceil((leaving - used + 1) / limit);
      const past = leaving - rounds * limit;
      // None in the past: the one that the rounds end at goes now.
      const fits = past >= 0 ? times[start + past]!.arrivedBy + (rounds + 1) * heldMs - now : rounds * heldMs;
      wait = Math.max(wait, fits);
    }
    return wait;
  };

  const sweep = () => {
    if (++looks % sweepEvery !== 0) return;
    const now = clock.monotonic();
    for (const [key, { times, pausedUntil, windowMs }] of states)
      if (pausedUntil <= now && (times.at(-1)?.arrivedBy ?? -Infinity) + windowMs + jitterMs <= now)
        states.delete(key);
  };

  return {
    waitMs,
    get size() {
      return states.size;
    },
    take(buckets, slot) {
      sweep();
      const wait = waitMs(buckets);
      if (wait > 0) return wait;
      const now = clock.monotonic();
      const taken = slot ?? { arrivedBy: now };
      if (slot) slot.arrivedBy = now + transitMs;
      for (const bucket of buckets) stateOf(bucket).times.push(taken);
      return 0;
    },
    arrived(slot) {
      slot.arrivedBy = Math.min(slot.arrivedBy, clock.monotonic());
    },
    pause(buckets, ms) {
      const until = clock.monotonic() + ms;
      for (const bucket of buckets) {
        const state = stateOf(bucket);
        state.pausedUntil = Math.max(state.pausedUntil, until);
      }
    },
    pausedMs(buckets) {
      const now = clock.monotonic();
      return Math.max(0, ...buckets.map((bucket) => (states.get(bucket.key)?.pausedUntil ?? 0) - now));
    },
    view(buckets) {
      const now = clock.monotonic();
      const wall = clock.now();
      const views = buckets.map((bucket): BudgetView => {
        const state = states.get(bucket.key);
        if (state) expire(state, bucket.windowMs, now);
        const used = state ? state.times.length - state.start : 0;
        const paused = (state?.pausedUntil ?? 0) - now;
        return {
          limit: bucket.limit,
          windowMs: bucket.windowMs,
          remaining: paused > 0 ? 0 : Math.max(0, bucket.limit - used),
          resetsAtMs: used > 0 ? wall + state!.times.at(-1)!.arrivedBy + bucket.windowMs - now : undefined,
          pausedUntilMs: paused > 0 ? wall + paused : undefined,
        };
      });
      return views.reduce<BudgetView | undefined>(
        (tightest, one) => (tightest && tightest.remaining <= one.remaining ? tightest : one),
        undefined,
      );
    },
  };
}

/** Drops the times that have left the window; moves memory only once half of it is waste. */
function expire(state: State, windowMs: number, now: number): void {
  const { times } = state;
  while (state.start < times.length && times[state.start]!.arrivedBy + windowMs + jitterMs <= now)
    state.start++;
  if (state.start > 32 && state.start * 2 > times.length) {
    times.splice(0, state.start);
    state.start = 0;
  }
}
