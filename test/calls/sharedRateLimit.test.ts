import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { priorities } from '../../src/calls/fairQueue.ts';
import { createSharedRateLimiter } from '../../src/calls/sharedRateLimit.ts';
import { createTurns, type Turns } from '../../src/calls/turns.ts';
import type { Bucket } from '../../src/calls/window.ts';
import type { Clock } from '../../src/clock.ts';
import { manualClock, type ManualClock } from '../support/manualClock.ts';
import { memoryRows, type Line } from '../support/memoryRows.ts';
import { stand, worstWindow } from './standing.ts';

const fine: Line = { delayMs: () => 2, fate: () => 'fine' };

/** A process: its limiter and queue, on a wall clock of its own; it can die. */
function startProcess(
  clock: ManualClock,
  rows: ReturnType<typeof memoryRows>,
  line: Line = fine,
  skewMs = 0,
) {
  let dead = false;
  const timers = new Set<() => void>();
  const own: Clock = {
    ...clock,
    now: () => clock.now() + skewMs,
    random: clock.random,
    timer(ms, work) {
      const cancel = clock.timer(ms, () => {
        timers.delete(cancel);
        if (!dead) work();
      });
      timers.add(cancel);
      return cancel;
    },
  };
  const troubles: unknown[] = [];
  const limiter = createSharedRateLimiter({
    clock: own,
    rows: rows.seenBy(line),
    longestCallMs: 1_000,
    onTrouble: (error) => troubles.push(error),
  });
  const turns = createTurns(own, limiter, { perBucket: 100_000, total: 100_000 });
  return {
    limiter,
    turns,
    troubles,
    alive: () => !dead,
    die() {
      dead = true;
      for (const cancel of timers) cancel();
    },
  };
}
type Process = ReturnType<typeof startProcess>;

/** Keeps `deep` calls waiting in a process until `untilMs`; tells when each arrived. */
function flood(
  process: Process,
  clock: ManualClock,
  buckets: readonly Bucket[],
  arrivals: number[],
  { deep = 30, untilMs = Infinity, priority = 'poll' as (typeof priorities)[number] } = {},
): void {
  const one = async (): Promise<void> => {
    while (process.alive() && clock.monotonic() < untilMs) {
      const slot = await stand(process.turns, buckets, { priority });
      if (!slot.usable()) {
        slot.unused();
        continue;
      }
      slot.sent();
      arrivals.push(clock.monotonic());
      await clock.sleep(3);
      if (process.alive()) slot.ended();
    }
  };
  for (let i = 0; i < deep; i++) void one();
}

const open = (stepMs = { current: 0 }) => {
  const clock = manualClock();
  const start = clock.now();
  const rows = memoryRows(clock, () => start + clock.monotonic() + stepMs.current);
  return { clock, rows, stepMs };
};
const ten: Bucket = { key: 'ten', limit: 10, windowMs: 1_000 };

describe('a budget that processes share', () => {
  it('is used wholly and never exceeded, however unequal their clocks, and shared between them', async () => {
    const { clock, rows } = open();
    const all = [0, 3_600_000, -86_400_000].map((skew) => startProcess(clock, rows, fine, skew));
    const arrivals = all.map(() => [] as number[]);
    for (const [i, process] of all.entries()) flood(process, clock, [ten], arrivals[i]!);
    await clock.advance(20_000);
    const together = arrivals.flat().toSorted((a, b) => a - b);
    expect(worstWindow(together, 1_000)).toBeLessThanOrEqual(10);
    expect(together.length).toBeGreaterThan(190);
    for (const own of arrivals) expect(own.length).toBeGreaterThan(0.7 * (together.length / 3));
    for (const process of all) {
      const closing = process.limiter.close();
      await clock.advance(100);
      await closing;
    }
    expect(rows.rows.get('ten')!.state.leased).toEqual({});
  });

  it('costs statements by the second, not by the call', async () => {
    const counts = await Promise.all(
      [100, 1_000].map(async (limit) => {
        const { clock, rows } = open();
        const all = [1, 2].map(() => startProcess(clock, rows));
        const arrivals: number[] = [];
        for (const process of all)
          flood(process, clock, [{ key: 'x', limit, windowMs: 1_000 }], arrivals, { deep: limit });
        await clock.advance(5_000);
        expect(arrivals.length).toBeGreaterThan(limit * 4.5);
        return rows.statements();
      }),
    );
    for (const count of counts) expect(count / 5 / 2).toBeLessThan(12);
    expect(counts[1]! / counts[0]!).toBeLessThan(1.5);
  });

  it('gives a process that comes later its share within a moment', async () => {
    const { clock, rows } = open();
    const [one, two] = [startProcess(clock, rows), startProcess(clock, rows)];
    flood(one, clock, [ten], []);
    await clock.advance(5_000);
    const late: number[] = [];
    flood(two, clock, [ten], late, { deep: 5 });
    await clock.advance(1_000);
    expect(late.length).toBeGreaterThan(0);
    await clock.advance(4_000);
    expect(late.length).toBeGreaterThan(15);
  });

  it('is left to who has more urgent calls, but for a little', async () => {
    const { clock, rows } = open();
    const [bulk, urgent] = [startProcess(clock, rows), startProcess(clock, rows)];
    const [slow, quick]: [number[], number[]] = [[], []];
    flood(bulk, clock, [ten], slow, { priority: 'backfill' });
    flood(urgent, clock, [ten], quick, { priority: 'interactive' });
    await clock.advance(20_000);
    expect(quick.length).toBeGreaterThan(2 * slow.length);
    expect(slow.length).toBeGreaterThan(10);
  });

  it('loses for a window what a process had leased that died, and nothing else', async () => {
    const { clock, rows } = open();
    const [one, two] = [startProcess(clock, rows), startProcess(clock, rows)];
    const arrivals: number[] = [];
    flood(one, clock, [ten], arrivals);
    flood(two, clock, [ten], arrivals);
    await clock.advance(7_300);
    two.die();
    await clock.advance(2_000);
    const recovered = clock.monotonic();
    await clock.advance(10_000);
    expect(
      worstWindow(
        arrivals.toSorted((a, b) => a - b),
        1_000,
      ),
    ).toBeLessThanOrEqual(10);
    expect(arrivals.filter((at) => at >= recovered).length).toBeGreaterThan(95);
  });

  it('is paused in every process by what one was told', async () => {
    const { clock, rows } = open();
    const [one, two] = [startProcess(clock, rows), startProcess(clock, rows)];
    const arrivals: number[] = [];
    flood(one, clock, [ten], []);
    flood(two, clock, [ten], arrivals);
    await clock.advance(3_000);
    one.limiter.pause([ten], 30_000);
    await clock.advance(10);
    two.limiter.changed('ten');
    await clock.advance(10);
    const before = arrivals.length;
    await clock.advance(29_900);
    expect(arrivals.length).toBe(before);
    await clock.advance(2_000);
    expect(arrivals.length).toBeGreaterThan(before + 3);
  });

  it('learns in every process what one was told is left', async () => {
    const { clock, rows } = open();
    const hundred: Bucket = { key: 'hundred', limit: 100, windowMs: 60_000 };
    const [one, two] = [startProcess(clock, rows), startProcess(clock, rows)];
    void stand(one.turns, [hundred], { priority: 'interactive' }).then((slot) => slot.ended());
    await clock.advance(50);
    one.limiter.learn([hundred], [{ limit: 100, remaining: 4, resetMs: 60_000 }]);
    await clock.advance(50);
    const reading = two.limiter.refresh([hundred]);
    await clock.advance(50);
    await reading;
    expect(two.limiter.view([hundred])?.remaining).toBe(4);
  });

  it('goes on with what is leased while the rows cannot be reached, and does not burst when they can again', async () => {
    const { clock, rows } = open();
    let down = false;
    const line: Line = { delayMs: () => 2, fate: () => (down ? 'lost' : 'fine') };
    const all = [startProcess(clock, rows, line), startProcess(clock, rows, line)];
    const arrivals: number[] = [];
    for (const process of all) flood(process, clock, [ten], arrivals);
    await clock.advance(5_000);
    down = true;
    const before = arrivals.length;
    await clock.advance(10_000);
    expect(arrivals.length - before).toBeGreaterThanOrEqual(1);
    expect(arrivals.length - before).toBeLessThanOrEqual(10);
    for (const process of all) expect(process.troubles).toHaveLength(1);
    down = false;
    await clock.advance(3_000);
    const back = clock.monotonic();
    await clock.advance(10_000);
    expect(
      worstWindow(
        arrivals.toSorted((a, b) => a - b),
        1_000,
      ),
    ).toBeLessThanOrEqual(10);
    expect(arrivals.filter((at) => at >= back).length).toBeGreaterThan(95);
  });

  it.each([3_600_000, -3_600_000])('outlives a step of the database’s clock by %i ms', async (byMs) => {
    const { clock, rows, stepMs } = open();
    const all = [startProcess(clock, rows), startProcess(clock, rows)];
    const arrivals: number[] = [];
    for (const process of all) flood(process, clock, [ten], arrivals);
    await clock.advance(5_250);
    stepMs.current = byMs;
    await clock.advance(5_000);
    const settled = clock.monotonic();
    await clock.advance(10_000);
    expect(
      worstWindow(
        arrivals.toSorted((a, b) => a - b),
        1_000,
      ),
    ).toBeLessThanOrEqual(10);
    expect(arrivals.filter((at) => at >= settled).length).toBeGreaterThan(90);
  });

  it('gives back what nobody needs any longer, and all at the end', async () => {
    const { clock, rows } = open();
    const process = startProcess(clock, rows);
    const leaving = new AbortController();
    const hundred: Bucket = { key: 'hundred', limit: 100, windowMs: 60_000 };
    for (let i = 0; i < 50; i++) stand(process.turns, [hundred], { signal: leaving.signal }).catch(() => {});
    await clock.advance(1);
    leaving.abort(new Error('left'));
    await clock.advance(3_000);
    expect(rows.rows.get('hundred')!.state.leased).toEqual({});
    const closing = process.limiter.close();
    await clock.advance(100);
    await closing;
    expect(clock.sleeping()).toBe(0);
  });
});

describe('random processes', () => {
  const buckets: Bucket[] = [
    { key: 'app', limit: 12, windowMs: 1_000 },
    { key: 'account', limit: 5, windowMs: 2_000 },
    { key: 'short', limit: 3, windowMs: 200 },
  ];
  const scenario = fc.record({
    processes: fc.integer({ min: 1, max: 3 }),
    delayMs: fc.constantFrom(0, 2, 20, 60),
    trouble: fc.constantFrom(0, 0, 0.05, 0.3),
    calls: fc.array(
      fc.record({
        afterMs: fc.integer({ min: 0, max: 300 }),
        process: fc.nat(2),
        of: fc.subarray(buckets, { minLength: 1 }),
        priority: fc.constantFrom(...priorities),
        count: fc.integer({ min: 1, max: 8 }),
        makingMs: fc.constantFrom(0, 0, 0, 50, 900),
        transitMs: fc.integer({ min: 0, max: 90 }),
        answerMs: fc.integer({ min: 0, max: 400 }),
        dies: fc.constantFrom(false, false, false, false, false, true),
      }),
      { minLength: 1, maxLength: 25 },
    ),
  });

  it('never exceed a limit where calls arrive, serve everybody who lives, and leak nothing', async () => {
    await fc.assert(
      fc.asyncProperty(scenario, fc.integer(), async ({ processes, delayMs, trouble, calls }, seed) => {
        const { clock, rows } = open();
        let state = seed >>> 0;
        let calm = false;
        const chance = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
        const line: Line = {
          delayMs: () => delayMs * chance() * 2,
          fate: () => (calm || chance() >= trouble ? 'fine' : chance() < 0.5 ? 'lost' : 'unheard'),
        };
        const all = Array.from({ length: processes }, (_, i) => startProcess(clock, rows, line, i * 77_000));
        const arrived = new Map<string, number[]>(buckets.map(({ key }) => [key, []]));
        const waiting = new Map<Process, number>(all.map((process) => [process, 0]));
        const ask = async (process: Process, turns: Turns, call: (typeof calls)[number]) => {
          waiting.set(process, waiting.get(process)! + 1);
          for (;;) {
            const slot = await stand(turns, call.of, { priority: call.priority });
            await clock.sleep(call.makingMs);
            if (!process.alive()) return;
            if (!slot.usable()) {
              slot.unused();
              call.makingMs = 0;
              continue;
            }
            slot.sent();
            waiting.set(process, waiting.get(process)! - 1);
            await clock.sleep(call.transitMs);
            for (const { key } of call.of) arrived.get(key)!.push(clock.monotonic());
            await clock.sleep(call.answerMs);
            if (process.alive()) slot.ended();
            return;
          }
        };
        for (const call of calls) {
          await clock.advance(call.afterMs);
          const process = all[call.process % processes]!;
          if (call.dies) process.die();
          if (process.alive())
            for (let i = 0; i < call.count; i++) void ask(process, process.turns, { ...call });
        }
        calm = true;
        await clock.advance(150_000);
        for (const { key, limit, windowMs } of buckets)
          expect(
            worstWindow(
              arrived.get(key)!.toSorted((a, b) => a - b),
              windowMs,
            ),
          ).toBeLessThanOrEqual(limit);
        for (const process of all.filter((one) => one.alive())) expect(waiting.get(process)).toBe(0);
        // A newcomer finds every budget full again.
        const late = startProcess(clock, rows);
        const reading = late.limiter.refresh(buckets);
        await clock.advance(200);
        await reading;
        for (const bucket of buckets) expect(late.limiter.view([bucket])?.remaining).toBe(bucket.limit);
      }),
      { numRuns: 150, seed: 20261123 },
    );
  });
});
