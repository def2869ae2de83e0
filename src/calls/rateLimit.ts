import type { Clock } from '../clock.ts';
import type { Learnt } from './rateLimitHeaders.ts';
import { createSlots, type Slot } from './slots.ts';
import { createWindow, type Bucket, type Window } from './window.ts';

export interface BudgetView {
  limit: number;
  windowMs: number;
  remaining: number;
  /** When the whole limit is free again, by `clock.now()`; undefined while it is. */
  resetsAtMs: number | undefined;
  pausedUntilMs: number | undefined;
}

/**
 * The budgets of all limits. A call takes one of each of its buckets, or none.
 *
 * Two of one contract: in memory for one process, below, and `sharedRateLimit.ts` for many on one PostgreSQL.
 */
export interface RateLimiter {
  /** 0 when a call may take its turn now, otherwise after how long to ask again; `room` may tell earlier. */
  waitMs(buckets: readonly Bucket[], level: number): number;
  /** Undefined unless `waitMs` is 0. `waited`: it stood in a queue. */
  take(buckets: readonly Bucket[], level: number, waited: boolean): Slot | undefined;
  /** One more call waits, beside others that wait for the same. */
  joined(buckets: readonly Bucket[]): void;
  /** How long a call would wait at least, behind so many others of each bucket. */
  estimateMs(buckets: readonly Bucket[], ahead: (bucket: Bucket) => number): number;
  /** Lets nobody through for `ms`, in any process. A shorter pause never ends a longer one. */
  pause(buckets: readonly Bucket[], ms: number): void;
  pausedMs(buckets: readonly Bucket[]): number;
  /** What an answer said of the limits. Less than we thought corrects us; more does not. */
  learn(buckets: readonly Bucket[], learnt: readonly Learnt[]): void;
  /** The window with the fewest calls left; undefined without any. `refresh` first for what other processes did. */
  view(buckets: readonly Bucket[]): BudgetView | undefined;
  refresh(buckets: readonly Bucket[]): Promise<void>;
  /** Who waits, for a limiter that has to ask for more in time; and whom to tell that there is room. */
  serve(queue: WaitingCalls): void;
  /** Buckets that are remembered: those that are wholly free are forgotten. */
  readonly size: number;
  close(): Promise<void>;
}

export interface WaitingCalls {
  /** How many calls with just these buckets wait, and how urgent the first is, 0 the most. */
  waiting(buckets: readonly Bucket[]): { calls: number; level: number };
  room(buckets: readonly Bucket[]): void;
  /** Another process was told to wait: whoever has no time for that need not wait on. */
  paused(): void;
}

export interface Budget {
  bucket: Bucket;
  window: Window;
}

/** Interactive calls and webhooks may run ahead of the pace. */
export const isUrgent = (level: number) => level <= 1;

/**
 * Buckets that are wholly free are forgotten. A sweep begins a second after the last ended, and is done in strides, so
 * that no call pays for a hundred thousand; the clock is asked only every so many looks.
 */
const sweepEveryMs = 1_000;
const sweepEvery = 500;
const stride = 256;
/** Nothing tells when calls under way have arrived: look again. */
const askAgainMs = 20;
const own = 'own';

export function createRateLimiter(clock: Clock): RateLimiter {
  const budgets = createBudgets(() => clock.monotonic());
  const slots = createSlots<readonly Budget[]>(clock, {
    arrived(of, atMs) {
      for (const { bucket, window } of of) if (bucket.windowMs > 0) window.arrive(own, atMs);
    },
    ended(of) {
      for (const { bucket, window } of of) if (bucket.windowMs === 0) window.arrive(own, clock.monotonic());
      tell(of, ({ bucket }) => bucket.windowMs === 0);
    },
    unused(of) {
      for (const { window } of of) window.giveBack(own);
      tell(of, () => true);
    },
  });
  let queue: WaitingCalls | undefined;
  const tell = (of: readonly Budget[], when: (budget: Budget) => boolean) => {
    if (queue && of.some(when)) queue.room(of.map(({ bucket }) => bucket));
  };

  const freeAt = (of: readonly Budget[], now: number, level: number) => {
    const urgent = isUrgent(level);
    let latest = now;
    for (const { window } of of) {
      const at = window.freeAt(now, 0, urgent);
      if (at > latest) latest = at;
    }
    return latest;
  };
  const waitMs = (of: readonly Budget[], level: number): number => {
    const now = clock.monotonic();
    if (freeAt(of, now, level) <= now) return 0;
    slots.settleOverdue();
    const at = freeAt(of, now, level);
    return at === Infinity ? askAgainMs : at - now;
  };

  return {
    waitMs: (buckets, level) => waitMs(budgets.of(buckets), level),
    take(buckets, level, waited) {
      const of = budgets.of(buckets);
      const now = clock.monotonic();
      if (freeAt(of, now, level) > now && waitMs(of, level) > 0) return undefined;
      // Who keeps to the pace has waited for it to come: that time is nobody's to take back.
      for (const { window } of of) window.lease(own, Infinity, now, waited && isUrgent(level));
      return slots.open(of);
    },
    joined() {},
    estimateMs(buckets, ahead) {
      slots.settleOverdue();
      return budgets.estimateMs(buckets, ahead);
    },
    pause(buckets, ms) {
      const until = clock.monotonic() + ms;
      for (const { window } of budgets.of(buckets)) window.pause(until);
    },
    pausedMs: budgets.pausedMs,
    learn(buckets, learnt) {
      for (const { bucket, window, one, unknown } of budgets.unknownCalls(buckets, learnt))
        window.charge(unknown, clock.monotonic() + (one.resetMs ?? bucket.windowMs));
    },
    view: (buckets) => budgets.view(buckets, clock.now() - clock.monotonic()),
    refresh: () => Promise.resolve(),
    serve(calls) {
      queue = calls;
    },
    get size() {
      return budgets.size;
    },
    close: () => Promise.resolve(),
  };
}

/** The windows by bucket, and what can be read from them. `now` is the time that the windows keep. */
export function createBudgets(now: () => number) {
  const all = new Map<string, Budget>();
  let looks = 0;
  let sweepAt = -Infinity;
  let sweeping: MapIterator<[string, Budget]> | undefined;

  const budgetOf = (bucket: Bucket): Budget => {
    const known = all.get(bucket.key);
    if (known && known.bucket.limit === bucket.limit && known.bucket.windowMs === bucket.windowMs)
      return known;
    if (!known) return adopt(bucket, createWindow(bucket));
    // In place, for calls under way hold on to it.
    return Object.assign(known, { bucket, window: createWindow(bucket, known.window.state()) });
  };
  const adopt = (bucket: Bucket, window: Window): Budget => {
    const budget = { bucket, window };
    all.set(bucket.key, budget);
    return budget;
  };
  const sweep = () => {
    if (!sweeping && ++looks < sweepEvery) return;
    looks = 0;
    const at = now();
    if (!sweeping && at < sweepAt) return;
    sweeping ??= all.entries();
    for (let i = 0; i < stride; i++) {
      const next = sweeping.next();
      if (next.done) {
        sweeping = undefined;
        sweepAt = at + sweepEveryMs;
        return;
      }
      const [key, { window }] = next.value;
      if (window.pausedUntil() <= at && window.used(at) === 0) all.delete(key);
    }
  };
  const of = (buckets: readonly Bucket[]): Budget[] => {
    sweep();
    return buckets.map(budgetOf);
  };

  return {
    of,
    adopt,
    get size() {
      return all.size;
    },
    estimateMs(buckets: readonly Bucket[], ahead: (bucket: Bucket) => number): number {
      const at = now();
      return Math.max(0, ...of(buckets).map(({ bucket, window }) => window.estimate(at, ahead(bucket)) - at));
    },
    pausedMs(buckets: readonly Bucket[]): number {
      let until = -Infinity;
      for (const { key } of buckets) until = Math.max(until, all.get(key)?.window.pausedUntil() ?? until);
      return Math.max(0, until - now());
    },
    /**
     * Calls that the provider has counted and we have not. Those under way may be uncounted there yet: they are taken
     * for counted, the next answer knows better.
     */
    *unknownCalls(buckets: readonly Bucket[], learnt: readonly Learnt[]) {
      for (const one of learnt) {
        const bucket = spokenOf(buckets, one);
        if (!bucket) continue;
        const { window } = budgetOf(bucket);
        const unknown = bucket.limit - window.used(now()) - one.remaining;
        if (unknown > 0) yield { bucket, window, one, unknown };
      }
    },
    view(buckets: readonly Bucket[], toWallMs: number): BudgetView | undefined {
      const at = now();
      const budgets = of(buckets).filter(({ bucket }) => bucket.windowMs > 0);
      const pausedUntil = Math.max(-Infinity, ...budgets.map(({ window }) => window.pausedUntil()));
      const paused = pausedUntil > at;
      let tightest: BudgetView | undefined;
      for (const { bucket, window } of budgets) {
        const remaining = paused ? 0 : Math.max(0, bucket.limit - window.used(at));
        if (tightest && tightest.remaining <= remaining) continue;
        const emptyAt = window.emptyAt(at);
        tightest = {
          limit: bucket.limit,
          windowMs: bucket.windowMs,
          remaining,
          resetsAtMs: emptyAt === undefined ? undefined : emptyAt + toWallMs,
          pausedUntilMs: paused ? pausedUntil + toWallMs : undefined,
        };
      }
      return tightest;
    },
  };
}

/** Of several limits, the one that a header means: the same numbers, or else the nearest window that can hold its reset. */
function spokenOf(buckets: readonly Bucket[], { limit, windowMs, resetMs = 0 }: Learnt): Bucket | undefined {
  const windows = buckets.filter((bucket) => bucket.windowMs > 0);
  return (
    windows.find((bucket) => bucket.windowMs === windowMs && bucket.limit === limit) ??
    windows.find((bucket) => windowMs === undefined && bucket.limit === limit) ??
    windows
      .toSorted((a, b) => a.windowMs - b.windowMs)
      .find((bucket, i, sorted) => bucket.windowMs >= (windowMs ?? resetMs) || i === sorted.length - 1)
  );
}
