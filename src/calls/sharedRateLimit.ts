import type { Cancel, Clock } from '../clock.ts';
import type { BudgetRows } from './budgetRows.ts';
import { createKeeperClock } from './keeperClock.ts';
import { createLeases, horizonMs, type Asker, type Grant, type News } from './leases.ts';
import { createBudgets, type RateLimiter, type WaitingCalls } from './rateLimit.ts';
import { createSlots, transitMs } from './slots.ts';
import type { Bucket } from './window.ts';

export interface SharedRateLimiterOptions {
  clock: Clock;
  rows: BudgetRows;
  /** Longer than any attempt takes. */
  longestCallMs: number;
  /** The rows cannot be reached: calls wait, up to their deadlines, for what is not leased yet. */
  onTrouble?: (error: unknown) => void;
}

export interface SharedRateLimiter extends RateLimiter {
  /** Another process paused this bucket: what is leased from it is given back. */
  changed(key: string): void;
}

/**
 * The budgets of several processes. Each row holds the window of one bucket; a process leases from it, in one exchange,
 * the calls that it wants for the next moment, each with the time at which it may go, and reports later when they had
 * arrived. So statements are counted by the second and not by the call, and nothing is held while anybody waits.
 *
 *   Leased     counts as used until it is reported, or until its time is over and it must have arrived: a process
 *              that dies loses what it had leased, for a window, and nothing is ever given twice.
 *   Asked      who asks gets its share of what comes free within the horizon: by the number of those who ask, and
 *              hardly any while somebody has more urgent calls.
 *   No rows    what is leased goes on. Nothing new is granted until they are back, with all that was used before.
 */
export function createSharedRateLimiter(options: SharedRateLimiterOptions): SharedRateLimiter {
  const { clock, rows, onTrouble = () => {} } = options;
  const keeper = createKeeperClock(clock);
  const budgets = createBudgets(() => clock.monotonic());
  const leases = createLeases({ clock, rows, keeper, budgets, longestCallMs: options.longestCallMs });
  const askers = new Map<string, Asker>();
  const news = new Map<string, News>();
  let queue: WaitingCalls = { waiting: () => ({ calls: 0, level: 0 }), room: () => {}, paused: () => {} };
  let exchanging: Promise<void> | undefined;
  /** When an answer's headers last made an exchange due. */
  let learntAt = -Infinity;
  let failures = 0;
  let closed = false;
  let timer: { at: number; cancel: Cancel } | undefined;

  const newsOf = (bucket: Bucket): News => {
    let own = news.get(bucket.key);
    if (!own)
      news.set(
        bucket.key,
        (own = { bucket, reports: [], pausedUntil: -Infinity, learnt: [], dueAt: Infinity }),
      );
    return own;
  };
  const report = (buckets: readonly Bucket[], { batch, lastAt }: Grant, arrivedAt: number | undefined) => {
    for (const bucket of buckets) {
      const own = newsOf(bucket);
      // Its line took so long to open that the lease may have ended before. Where calls count as long as they are under
      // way, leases last as long.
      const late = bucket.windowMs > 0 && arrivedAt !== undefined && arrivedAt > lastAt + transitMs;
      own.reports.push({ batch, arrivedAt, late });
      // Where there is room enough, the lease may as well end by itself.
      const tight = budgets.of([bucket])[0]!.window.used(clock.monotonic()) * 2 > bucket.limit;
      if (late) due(own, clock.monotonic());
      else if (tight || arrivedAt === undefined) due(own, clock.monotonic() + horizonMs([bucket]) * 0.8);
      else if (own.reports.length > 256) own.reports.splice(0, 128);
    }
  };
  const due = (own: News, at: number) => {
    own.dueAt = Math.min(own.dueAt, at);
    plan(own.dueAt);
  };
  const slots = createSlots<Grant & { buckets: readonly Bucket[] }>(clock, {
    arrived(grant, at) {
      report(
        grant.buckets.filter(({ windowMs }) => windowMs > 0),
        grant,
        at,
      );
    },
    ended(grant) {
      report(
        grant.buckets.filter(({ windowMs }) => windowMs === 0),
        grant,
        clock.monotonic(),
      );
    },
    unused: (grant) => report(grant.buckets, grant, undefined),
  });

  const askerOf = (buckets: readonly Bucket[]): Asker => {
    const key = keyOf(buckets);
    let asker = askers.get(key);
    if (!asker)
      askers.set(key, (asker = { buckets, grants: [], nextAskAt: -Infinity, waiting: 0, level: 0 }));
    return asker;
  };
  const wanting = () => {
    for (const asker of askers.values()) Object.assign(asker, count(asker));
    return [...askers.values()].filter(({ waiting, grants }) => waiting > grants.length);
  };
  const count = ({ buckets }: Asker) => {
    const { calls, level } = queue.waiting(buckets);
    return { waiting: calls, level };
  };
  const giveBack = (asker: Asker, which: (grant: Grant) => boolean) => {
    const back = asker.grants.filter(which);
    asker.grants = asker.grants.filter((grant) => !back.includes(grant));
    for (const grant of back) report(asker.buckets, grant, undefined);
  };

  /** One exchange at a time, which takes along all that is due. */
  const plan = (at: number) => {
    if (closed || exchanging || (timer && timer.at <= at)) return;
    timer?.cancel();
    const waitMs = at - clock.monotonic();
    if (waitMs > 0) timer = { at, cancel: clock.timer(waitMs, () => void run()) };
    else {
      // Once all that wait by now have been counted.
      let cancelled = false;
      timer = { at, cancel: () => void (cancelled = true) };
      queueMicrotask(() => {
        if (!cancelled) void run();
      });
    }
  };
  const run = async (): Promise<void> => {
    timer?.cancel();
    timer = undefined;
    if (exchanging) return;
    slots.settleOverdue();
    const now = clock.monotonic();
    for (const [key, asker] of askers) {
      const nobody = count(asker).waiting === 0;
      giveBack(asker, (grant) => nobody || grant.lastAt < now);
      if (nobody && asker.nextAskAt < now) askers.delete(key);
    }
    const asking = wanting().filter(({ nextAskAt }) => nextAskAt <= now);
    const urgent = [...news.values()].some(({ dueAt }) => dueAt <= now);
    if (asking.length > 0 || urgent) {
      exchanging = exchange(asking).finally(() => (exchanging = undefined));
      await exchanging;
    }
    planNext();
  };
  const exchange = async (asking: Asker[]) => {
    const told = [...news.values()];
    news.clear();
    const silence = new AbortController();
    try {
      const { untold } = await answered(leases.exchange(asking, told, silence.signal), silence);
      failures = 0;
      for (const { bucket, reports, learnt, pausedUntil } of untold) {
        const own = newsOf(bucket);
        own.reports.push(...reports);
        own.learnt.push(...learnt);
        own.pausedUntil = Math.max(own.pausedUntil, pausedUntil);
        due(own, clock.monotonic());
      }
    } catch (error) {
      const againAt =
        clock.monotonic() + Math.min(2_000, 50 * 2 ** Math.min(failures, 10)) * (0.5 + clock.random());
      for (const asker of asking) asker.nextAskAt = againAt;
      // Reports are dropped, for the rows may have them: what they spoke of counts until its lease ends.
      for (const { bucket, pausedUntil } of told) {
        if (pausedUntil <= clock.monotonic()) continue;
        const own = newsOf(bucket);
        own.pausedUntil = Math.max(own.pausedUntil, pausedUntil);
        due(own, againAt);
      }
      if (failures++ === 0) onTrouble(error);
    }
    keepPauses();
    for (const asker of asking) if (asker.grants.length > 0) queue.room(asker.buckets);
    // Somebody else was told to stay away, which we learn only now.
    if (asking.some(({ buckets }) => budgets.pausedMs(buckets) > 0)) queue.paused();
  };
  /** A line that has died says nothing for a quarter of an hour: another one may be better. */
  const answered = <T>(work: Promise<T>, silence: AbortController): Promise<T> =>
    new Promise((resolve, reject) => {
      const cancel = clock.timer(answerWithinMs, () => {
        silence.abort(new Error('The database does not answer.'));
        reject(silence.signal.reason as Error);
      });
      void work.then(resolve, reject).finally(cancel);
    });
  /** What we were told while we looked, the rows do not know yet. */
  const keepPauses = () => {
    for (const { bucket, pausedUntil } of news.values())
      if (pausedUntil > clock.monotonic()) hold(bucket, pausedUntil);
  };
  const hold = (bucket: Bucket, until: number) => {
    budgets.of([bucket])[0]!.window.pause(until);
    for (const asker of askers.values())
      if (asker.buckets.some(({ key }) => key === bucket.key)) giveBack(asker, () => true);
  };
  const planNext = () => {
    const holding = [...askers.values()].filter(({ grants }) => grants.length > 0);
    const next = Math.min(
      ...wanting().map(({ nextAskAt }) => nextAskAt),
      ...[...news.values()].map(({ dueAt }) => dueAt),
      // Somebody may leave the queue and not need what was leased for it.
      ...(holding.length > 0 ? [clock.monotonic() + tidyMs] : []),
    );
    if (next < Infinity) plan(next);
  };

  let cancelSweep = () => {};
  const sweepLater = () => {
    cancelSweep = clock.timer(sweepEveryMs * (0.5 + clock.random()), () => {
      void rows.sweep().catch(onTrouble);
      sweepLater();
    });
  };
  sweepLater();

  return {
    changed(key) {
      const concerned = [...askers.values()].filter(({ buckets }) => buckets.some((one) => one.key === key));
      const bucket = concerned[0]?.buckets.find((one) => one.key === key);
      if (!bucket) return;
      void leases.read([bucket]).then(() => {
        keepPauses();
        if (budgets.pausedMs([bucket]) <= 0) return;
        for (const asker of concerned) giveBack(asker, () => true);
        queue.paused();
      }, onTrouble);
    },
    waitMs(buckets) {
      const asker = askerOf(buckets);
      const now = clock.monotonic();
      const usable = asker.grants.findIndex(({ lastAt }) => lastAt >= now);
      if (usable > 0 || (usable < 0 && asker.grants.length > 0))
        giveBack(asker, ({ lastAt }) => lastAt < now);
      const [first] = asker.grants;
      if (!first || count(asker).waiting > asker.grants.length) plan(Math.max(now, asker.nextAskAt));
      return first ? Math.max(0, first.dueAt - now) : lookAgainMs;
    },
    take(buckets) {
      const asker = askerOf(buckets);
      const now = clock.monotonic();
      const [first] = asker.grants;
      if (!first || first.dueAt > now || first.lastAt < now) return undefined;
      asker.grants.shift();
      return slots.open({ ...first, buckets }, first.lastAt);
    },
    joined(buckets) {
      const asker = askerOf(buckets);
      if (count(asker).waiting > asker.grants.length) plan(Math.max(clock.monotonic(), asker.nextAskAt));
    },
    estimateMs(buckets, ahead) {
      // What is held for those before counts in the windows already.
      const held = askers.get(keyOf(buckets))?.grants.length ?? 0;
      return budgets.estimateMs(buckets, (bucket) => ahead(bucket) - held);
    },
    pause(buckets, ms) {
      const until = clock.monotonic() + ms;
      for (const bucket of buckets) {
        const own = newsOf(bucket);
        own.pausedUntil = Math.max(own.pausedUntil, until);
        due(own, clock.monotonic());
        hold(bucket, until);
      }
    },
    pausedMs: budgets.pausedMs,
    learn(buckets, learnt) {
      const now = clock.monotonic();
      for (const { bucket, one, unknown } of budgets.unknownCalls(buckets, learnt)) {
        const own = newsOf(bucket);
        own.learnt.push({ remaining: one.remaining, leavesAt: now + (one.resetMs ?? bucket.windowMs) });
        // Small differences are other processes' calls that we have not heard of: they can wait for the next exchange.
        if (one.remaining > 0 && unknown * 10 <= bucket.limit) continue;
        const at = Math.max(now, learntAt + horizonMs([bucket]) / 4);
        learntAt = at;
        due(own, at);
      }
    },
    view: (buckets) => budgets.view(buckets, clock.now() - clock.monotonic()),
    refresh: (buckets) => leases.read(buckets).then(keepPauses, onTrouble),
    serve(calls) {
      queue = calls;
    },
    get size() {
      return budgets.size;
    },
    async close() {
      closed = true;
      cancelSweep();
      timer?.cancel();
      await exchanging;
      for (const asker of askers.values()) giveBack(asker, () => true);
      if (news.size > 0) await exchange([]);
    },
  };
}

const tidyMs = 100;
const answerWithinMs = 5_000;
const sweepEveryMs = 3_600_000;
/** Leases wake who waits for them: this is for what nobody foresaw. */
const lookAgainMs = 1_000;

const keyOf = (buckets: readonly Bucket[]) => buckets.map(({ key }) => key).join('\n');
