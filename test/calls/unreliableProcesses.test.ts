import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BudgetRows } from '../../src/calls/budgetRows.ts';
import { priorities } from '../../src/calls/fairQueue.ts';
import { createSharedRateLimiter } from '../../src/calls/sharedRateLimit.ts';
import { createTurns } from '../../src/calls/turns.ts';
import type { Bucket } from '../../src/calls/window.ts';
import type { Clock } from '../../src/clock.ts';
import { manualClock, type ManualClock } from '../support/manualClock.ts';
import { memoryRows, type Line } from '../support/memoryRows.ts';
import { worstWindow } from './judges.ts';
import { stand } from './standing.ts';

interface Clocks {
  /** How far the wall clock is wrong. */
  skewMs: number;
  /** How much faster than true time the monotonic clock goes, and where it started. */
  drift: number;
  startedAt: number;
}

/** A process with clocks of its own, which can die, or stand still for a while. */
function startProcess(time: ManualClock, rows: BudgetRows, { skewMs, drift, startedAt }: Clocks) {
  let dead = false;
  let frozenUntil = -Infinity;
  /** Nothing happens while it stands still, and when it goes on all that is due. */
  const awake = async (work: () => void = () => {}): Promise<void> => {
    while (time.monotonic() < frozenUntil) await time.sleep(frozenUntil - time.monotonic());
    if (dead) await new Promise(() => {});
    work();
  };
  const clock: Clock = {
    ...time,
    now: () => time.now() + skewMs,
    monotonic: () => startedAt + time.monotonic() * (1 + drift),
    sleep: (ms, signal) => time.sleep(ms / (1 + drift), signal).then(() => awake()),
    timer(ms, work) {
      let cancelled = false;
      const cancel = time.timer(ms / (1 + drift), () => {
        if (dead || cancelled) return;
        if (time.monotonic() < frozenUntil) void awake(() => cancelled || work());
        else work();
      });
      return () => {
        cancelled = true;
        cancel();
      };
    },
  };
  const heard = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer;
    } finally {
      await awake();
    }
  };
  const limiter = createSharedRateLimiter({
    clock,
    rows: {
      open: (keys) => heard(rows.open(keys)),
      read: (keys) => heard(rows.read(keys)),
      exchange: (groups, loud) => heard(rows.exchange(groups, loud)),
      sweep: () => rows.sweep(),
    },
    longestCallMs: 1_500,
  });
  const turns = createTurns(clock, limiter, { perBucket: 100_000, total: 100_000 });
  return {
    limiter,
    turns,
    awake,
    waiting: 0,
    alive: () => !dead,
    die: () => void (dead = true),
    freeze: (ms: number) => void (frozenUntil = time.monotonic() + ms),
  };
}
type Process = ReturnType<typeof startProcess>;

const app: Bucket = { key: 'app', limit: 12, windowMs: 1_000 };
const windows: Bucket[] = [
  app,
  { key: 'account', limit: 5, windowMs: 2_000 },
  { key: 'short', limit: 3, windowMs: 200 },
];
const cap: Bucket = { key: 'cap', limit: 3, windowMs: 0 };

const faults = ['none', 'none', 'none', 'none', 'dies', 'freezes', 'freezes', 'pause', 'silence'] as const;
const event = fc.record({
  afterMs: fc.integer({ min: 0, max: 400 }),
  process: fc.nat(3),
  of: fc.subarray([...windows, cap], { minLength: 1 }),
  priority: fc.constantFrom(...priorities),
  calls: fc.integer({ min: 1, max: 10 }),
  transitMs: fc.integer({ min: 0, max: 90 }),
  answerMs: fc.integer({ min: 0, max: 400 }),
  leavesAfterMs: fc.option(fc.integer({ min: 0, max: 1_000 }), { nil: undefined }),
  fault: fc.constantFrom(...faults),
  faultMs: fc.integer({ min: 50, max: 6_000 }),
});
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;
const scenario = fc.record({
  clocks: fc.array(
    fc.record({
      skewMs: fc.constantFrom(0, 3_600_000, -86_400_000),
      drift: fc.constantFrom(0, 1e-4, -1e-4),
      startedAt: fc.constantFrom(0, 5e6),
    }),
    { minLength: 2, maxLength: 4 },
  ),
  delayMs: fc.constantFrom(0, 2, 20, 60),
  /** Of all statements, so many fail, before or after they took effect. */
  trouble: fc.constantFrom(0, 0, 0.05, 0.3),
  events: fc.array(event, { minLength: 5, maxLength: 40 }),
  /** The database's clock is stepped once at the most. Who comes only afterwards cannot know. */
  stepMs: fc.constantFrom(0, 0, 3_600_000, -3_600_000, 5_000, 700, -700),
  stepAt: fc.nat(39),
  seed: fc.nat(),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

function begin({ clocks, delayMs, trouble, seed }: Scenario) {
  const time = manualClock();
  const startMs = time.now();
  let stepped = 0;
  let calm = true;
  let silentUntil = -Infinity;
  let state = seed;
  const chance = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const line: Line = {
    delayMs: () => (calm ? 2 : Math.max(delayMs * chance() * 2, silentUntil - time.monotonic())),
    fate: () => (calm || chance() >= trouble ? 'fine' : chance() < 0.5 ? 'lost' : 'unheard'),
  };
  const rows = memoryRows(time, () => startMs + time.monotonic() + stepped);
  const open = (own: Clocks) => startProcess(time, rows.seenBy(line), own);
  const arrived = new Map<string, number[]>(windows.map(({ key }) => [key, []]));
  const underWay = { now: 0, most: 0 };

  /** One call, judged when it arrives at the provider. */
  const ask = async (own: Process, { of, priority, leavesAfterMs, transitMs, answerMs }: Event) => {
    const leaving = new AbortController();
    if (leavesAfterMs !== undefined)
      void time.sleep(leavesAfterMs).then(() => own.awake(() => leaving.abort(new Error('left'))));
    own.waiting++;
    for (;;) {
      const slot = await stand(own.turns, of, { priority, signal: leaving.signal }).catch(() => undefined);
      // Between its turn and its first byte a process may stand still.
      await own.awake();
      if (slot && !slot.usable()) {
        slot.unused();
        continue;
      }
      own.waiting--;
      if (!slot) return;
      slot.sent();
      const capped = of.includes(cap);
      if (capped) underWay.most = Math.max(underWay.most, ++underWay.now);
      await time.sleep(transitMs);
      for (const { key } of of) arrived.get(key)?.push(time.monotonic());
      await time.sleep(answerMs);
      if (capped) underWay.now--;
      return own.awake(() => slot.ended());
    }
  };
  return {
    time,
    open,
    all: clocks.map(open),
    ask,
    arrived,
    underWay,
    step: (ms: number) => (stepped += ms),
    calm: (now: boolean) => (calm = now),
    silence: (ms: number) => (silentUntil = time.monotonic() + ms),
  };
}

function strike({ all, silence }: ReturnType<typeof begin>, own: Process, { fault, faultMs, of }: Event) {
  if (fault === 'dies' && all.filter((one) => one.alive()).length > 1) own.die();
  if (fault === 'freezes') own.freeze(faultMs);
  if (fault === 'silence') silence(faultMs);
  if (fault === 'pause') void own.awake(() => own.limiter.pause(of, faultMs / 4));
}

describe('processes that die, freeze, and lose the database, whose clock is stepped', () => {
  it('never exceed a limit where calls arrive, serve everybody who lives, and leak nothing', async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async (run) => {
        const world = begin(run);
        const { time, all, ask, arrived, underWay } = world;
        const reading = Promise.all(all.map(({ limiter }) => limiter.refresh(windows)));
        await time.advance(10);
        await reading;
        world.calm(false);
        for (const [i, one] of run.events.entries()) {
          await time.advance(one.afterMs);
          if (i === run.stepAt) world.step(run.stepMs);
          const own = all[one.process % all.length]!;
          strike(world, own, one);
          if (own.alive()) for (let call = 0; call < one.calls; call++) void ask(own, one);
        }
        await time.advance(6_000);
        world.calm(true);
        await time.advance(200_000);

        for (const { key, limit, windowMs } of windows) {
          const times = arrived.get(key)!.toSorted((a, b) => a - b);
          expect(worstWindow(times, windowMs)).toBeLessThanOrEqual(limit);
        }
        expect(underWay.most).toBeLessThanOrEqual(cap.limit);
        const living = all.filter((one) => one.alive());
        for (const one of living) expect(one.waiting).toBe(0);

        const late = world.open({ skewMs: 5, drift: 0, startedAt: 0 });
        // A row from before a step back looks new, until somebody writes it and its window has passed.
        for (const bucket of windows)
          void stand(late.turns, [bucket], { priority: 'interactive' }).then((slot) => slot.ended());
        await time.advance(15_000);
        const looking = late.limiter.refresh(windows);
        await time.advance(10);
        await looking;
        for (const bucket of windows) expect(late.limiter.view([bucket])?.remaining).toBe(bucket.limit);
        let served = 0;
        for (let i = 0; i < app.limit; i++)
          void stand(late.turns, [app]).then((slot) => (served++, slot.ended()));
        await time.advance(1_200);
        expect(served).toBe(app.limit);
        for (const one of [...living, late]) {
          const closing = one.limiter.close();
          await time.advance(100);
          await closing;
        }
      }),
      { numRuns: 250, seed: 20261123 },
    );
  });
});
