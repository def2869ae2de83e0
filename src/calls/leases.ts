import type { Clock } from '../clock.ts';
import { noCalls, type BudgetRow, type BudgetRows, type SharedState } from './budgetRows.ts';
import { shifted, type KeeperClock } from './keeperClock.ts';
import { isUrgent, type createBudgets } from './rateLimit.ts';
import { transitMs } from './slots.ts';
import { createWindow, type Bucket, type Window } from './window.ts';

/** Leave for one call, in the monotonic time of this process. */
export interface Grant {
  dueAt: number;
  /** It must not be sent later. */
  lastAt: number;
  /** Which lease it belongs to. */
  batch: string;
}

/** Calls that count against just these buckets. */
export interface Asker {
  buckets: readonly Bucket[];
  grants: Grant[];
  nextAskAt: number;
  waiting: number;
  level: number;
}

/** What a row does not know yet. Monotonic times of this process: the keeper's clock may be stepped meanwhile. */
export interface News {
  bucket: Bucket;
  /** Leased calls and when they had arrived; undefined: they were not made. */
  reports: { batch: string; arrivedAt: number | undefined; late: boolean }[];
  pausedUntil: number;
  learnt: { remaining: number; leavesAt: number }[];
  /** When it is to be told at the latest. */
  dueAt: number;
}

/** So far ahead calls are leased: enough for few exchanges, too little to keep others waiting. */
export function horizonMs(buckets: readonly Bucket[]): number {
  return Math.min(1_000, ...buckets.map(({ windowMs }) => (windowMs > 0 ? windowMs / 2 : 200)));
}

/** More attempts than any number of processes that write at the same time can need. */
const mostAttempts = 12;
/** After that the keeper's clock may have been stepped, and what we know of the rows is no longer worth a try. */
const staleMs = 10_000;
const leastUseMs = 250;
/** Below all levels. */
const satisfied = 9;

/** Askers that share a bucket, with all their buckets: rows that change together. */
interface Group {
  askers: Asker[];
  buckets: Map<string, Bucket>;
}

export function createLeases(deps: {
  clock: Clock;
  rows: BudgetRows;
  keeper: KeeperClock;
  budgets: ReturnType<typeof createBudgets>;
  longestCallMs: number;
}) {
  const { clock, rows, keeper, budgets, longestCallMs } = deps;
  const me = clock.randomUUID().slice(0, 8);
  const known = new Map<string, BudgetRow>();
  let batches = 0;
  let heardAt = -Infinity;

  const timed = async <T extends { nowMs: number }>(work: Promise<T>): Promise<T> => {
    const askedAt = clock.monotonic();
    const result = await work;
    heardAt = clock.monotonic();
    keeper.heard(result.nowMs, askedAt, heardAt);
    return result;
  };
  /** As it is read here, on our monotonic clock: no step of the keeper's moves that. */
  const adopt = (bucket: Bucket, state: SharedState, nowMs: number, now: number) =>
    budgets.adopt(bucket, createWindow(bucket, shifted(state, now - nowMs)));

  const tell = (window: Window, leased: SharedState['leased'], news: News) => {
    const { bucket, reports, pausedUntil, learnt } = news;
    for (const { batch, arrivedAt, late } of reports)
      if (arrivedAt === undefined) window.giveBack(batch);
      else if (leased[batch] || !late) window.arrive(batch, keeper.latest(arrivedAt));
      // Its lease has ended, and counts for a time before.
      else window.charge(1, keeper.latest(arrivedAt) + bucket.windowMs * 1.001 + lateGuardMs);
    window.pause(keeper.latest(pausedUntil));
    for (const { remaining, leavesAt } of learnt)
      window.charge(bucket.limit - window.used(keeper.earliest()) - remaining, keeper.latest(leavesAt));
  };

  /** What the rows would become, and what that would grant. */
  const draft = (group: Group, news: Map<string, News>) => {
    const now = clock.monotonic();
    const nowMs = keeper.earliest();
    const batch = `${me}.${++batches}`;
    const windows = new Map<string, Window>();
    const asked = new Map<string, SharedState['asked']>();
    const quotas = new Map<string, number>();
    const contended = new Set<string>();
    const rivals = new Set<string>();
    const yielding = new Set<string>();

    for (const [key, bucket] of group.buckets) {
      const state = keeper.rebased(known.get(key)!.state);
      const window = createWindow(bucket, state);
      const own = news.get(key);
      if (own) tell(window, state.leased, own);
      const askers = group.askers.filter(({ buckets }) => buckets.some((one) => one.key === key));
      const recent = Object.entries(state.asked).filter(
        ([, [atMs]]) => atMs > nowMs - 3 * horizonMs([bucket]),
      );
      if (recent.length > 0) contended.add(key);
      const others = recent.filter(([who]) => who !== me);
      if (others.length > 0) rivals.add(key);
      asked.set(key, Object.fromEntries(askers.length > 0 ? others : recent));
      windows.set(key, window);
      if (askers.length === 0) continue;
      const level = Math.min(...askers.map((asker) => asker.level));
      const share = Math.ceil(
        window.freeBy(nowMs, nowMs + horizonMs([bucket]), isUrgent(level)) / (others.length + 1),
      );
      if (others.some(([, [, theirs]]) => theirs < level)) yielding.add(key);
      quotas.set(key, yielding.has(key) ? 1 : Math.max(1, share));
    }

    const granted = group.askers.map((asker) => ({
      asker,
      grants: [] as Grant[],
      nextMs: nowMs,
      yields: false,
      contended: false,
    }));
    // In turn, so that nobody's long queue takes all.
    for (let open = granted.toSorted((a, b) => a.asker.level - b.asker.level); open.length > 0;)
      open = open.filter((one) => {
        const { buckets, waiting, grants } = one.asker;
        if (one.grants.length >= waiting - grants.length) return false;
        one.yields = buckets.some(({ key }) => yielding.has(key));
        one.contended = buckets.some(({ key }) => rivals.has(key));
        const urgent = isUrgent(one.asker.level);
        const free = buckets.map(({ key }) => windows.get(key)!.freeAt(nowMs, 0, urgent));
        one.nextMs = Math.max(nowMs, ...free);
        if (one.nextMs > nowMs + horizonMs(buckets)) return false;
        if (buckets.some(({ key }) => quotas.get(key)! <= 0)) return false;
        for (const [i, { key, windowMs }] of buckets.entries()) {
          const untilMs = one.nextMs + usableMs(buckets) + (windowMs > 0 ? transitMs : longestCallMs);
          windows.get(key)!.lease(batch, untilMs, free[i]!, contended.has(key));
          quotas.set(key, quotas.get(key)! - 1);
        }
        one.grants.push({
          dueAt: keeper.surelyAt(one.nextMs),
          lastAt: keeper.possiblyAt(one.nextMs + usableMs(buckets)),
          batch,
        });
        return true;
      });

    for (const { asker, grants } of granted)
      for (const { key } of asker.buckets) {
        const waits = asker.waiting > asker.grants.length + grants.length;
        // Who has got all that he asked for is nobody to give way to.
        const level = waits ? asker.level : Infinity;
        asked.get(key)![me] = [nowMs, Math.min(level, asked.get(key)![me]?.[1] ?? satisfied)];
      }
    const changed = [...group.buckets].map(([key, bucket]) => {
      const window = windows.get(key)!;
      const freeAtMs = Math.max(
        nowMs + 2 * bucket.windowMs,
        window.emptyAt(nowMs) ?? 0,
        window.pausedUntil(),
      );
      const state = { ...window.state(), atMs: nowMs, asked: asked.get(key)!, freeAtMs };
      return { key, version: known.get(key)!.version, state };
    });
    const untilNext = granted.map(({ nextMs }) => keeper.possiblyAt(nextMs));
    return { group, granted, untilNext, changed, nowMs, draftedAt: now };
  };

  const settle = ({ group, granted, untilNext, changed, nowMs, draftedAt }: ReturnType<typeof draft>) => {
    for (const row of changed) {
      known.set(row.key, { ...row, version: row.version + 1 });
      adopt(group.buckets.get(row.key)!, row.state, nowMs, draftedAt);
    }
    const now = clock.monotonic();
    for (const [i, { asker, grants, yields, contended }] of granted.entries()) {
      const horizon = horizonMs(asker.buckets);
      const nextAt = untilNext[i]!;
      asker.grants.push(...grants);
      const last = asker.grants.at(-1);
      // Asking seldom, everybody finds more when he asks: a share of what has come within the horizon since.
      const patienceMs = (contended ? 0.6 : 0.05) * horizon * (0.9 + clock.random() * 0.2);
      if (grants.length >= asker.waiting - (asker.grants.length - grants.length)) asker.nextAskAt = now;
      else if (yields) asker.nextAskAt = now + horizon;
      else if (grants.length > 0 && last)
        asker.nextAskAt = Math.max(now + patienceMs, last.dueAt - horizon / 8);
      // All is leased: it comes back when that is reported.
      else if (nextAt === Infinity) asker.nextAskAt = now + Math.max(patienceMs, horizon / 4);
      else asker.nextAskAt = Math.max(now + patienceMs, nextAt - horizon);
    }
    return granted.filter(({ grants }) => grants.length > 0).map(({ asker }) => asker);
  };

  return {
    /**
     * Tells the rows what is new and leases what is asked for, as far as there is any. Rejects when the rows cannot
     * be reached; then they may or may not have been told, and some askers may have got something all the same.
     * @param signal stops it between two statements
     * @returns who got something, and what could not be told because others wrote all the time
     */
    async exchange(
      asking: readonly Asker[],
      told: readonly News[],
      signal: AbortSignal,
    ): Promise<{ served: Asker[]; untold: News[] }> {
      const news = new Map(told.map((one) => [one.bucket.key, one]));
      const loud = told.filter((one) => one.pausedUntil > -Infinity).map(({ bucket }) => bucket.key);
      const served: Asker[] = [];
      let left = grouped(asking, told);
      if (clock.monotonic() - heardAt > staleMs) known.clear();
      for (let attempt = 1; left.length > 0 && attempt <= mostAttempts; attempt++) {
        if (attempt > 2) await clock.sleep(clock.random() * 4 * attempt);
        signal.throwIfAborted();
        const unknown = left.flatMap(({ buckets }) => [...buckets.keys()].filter((key) => !known.has(key)));
        if (unknown.length > 0)
          for (const row of (await timed(rows.open(unknown))).rows) known.set(row.key, row);
        // A row that somebody made since the statement began is not seen by it: next time.
        const seen = ({ buckets }: Group) => [...buckets.keys()].every((key) => known.has(key));
        const unseen = left.filter((group) => !seen(group));
        signal.throwIfAborted();
        const drafts = left.filter(seen).map((group) => draft(group, news));
        const { written, rows: present } = await timed(
          rows.exchange(
            drafts.map(({ changed }) => changed),
            loud,
          ),
        );
        left = unseen;
        for (const [i, one] of drafts.entries()) {
          if (written[i]) served.push(...settle(one));
          else {
            left.push(one.group);
            for (const key of one.group.buckets.keys()) known.delete(key);
          }
        }
        for (const row of present) known.set(row.key, row);
      }
      if (known.size > mostKnown) known.clear();
      const untold = left.flatMap(({ buckets }) => [...buckets.keys()].flatMap((key) => news.get(key) ?? []));
      return { served, untold };
    },
    /** For who only looks. */
    async read(buckets: readonly Bucket[]): Promise<void> {
      const present = await timed(rows.read(buckets.map(({ key }) => key)));
      const states = new Map(present.rows.map(({ key, state }) => [key, keeper.rebased(state)]));
      for (const bucket of buckets)
        adopt(bucket, states.get(bucket.key) ?? noCalls, keeper.earliest(), clock.monotonic());
    },
  };
}

const mostKnown = 10_000;
/** As the window guards a call that arrived in time. */
const lateGuardMs = 10;
const usableMs = (buckets: readonly Bucket[]) => Math.max(leastUseMs, horizonMs(buckets));

function grouped(asking: readonly Asker[], told: readonly News[]): Group[] {
  const of = new Map<string, Group>();
  const join = (buckets: readonly Bucket[], askers: Asker[]) => {
    const group: Group = { askers, buckets: new Map(buckets.map((bucket) => [bucket.key, bucket])) };
    for (const other of new Set(buckets.map(({ key }) => of.get(key)))) {
      if (!other) continue;
      group.askers.push(...other.askers);
      for (const [key, bucket] of other.buckets) group.buckets.set(key, bucket);
    }
    for (const key of group.buckets.keys()) of.set(key, group);
  };
  for (const asker of asking) join(asker.buckets, [asker]);
  for (const { bucket } of told) join([bucket], []);
  return [...new Set(of.values())];
}
