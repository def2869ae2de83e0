import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noCalls, type SharedState } from '../../src/calls/budgetRows.ts';
import { createKeeperClock } from '../../src/calls/keeperClock.ts';
import { manualClock } from '../support/manualClock.ts';

/** A keeper whose clock is `aheadMs` before ours and may drift away from it, on a machine that has been up for days. */
async function start(aheadMs = 50_000, driftPpm = 0) {
  const clock = manualClock();
  await clock.advance(1e9);
  const keeper = createKeeperClock(clock);
  let stepped = 0;
  const truth = () => aheadMs + stepped + clock.monotonic() + ((clock.monotonic() - 1e9) * driftPpm) / 1e6;
  /** One answer: so long it took to get there, and so long to come back. */
  const ask = async (thereMs = 1, backMs = 1) => {
    const askedAt = clock.monotonic();
    await clock.advance(thereMs);
    const nowMs = truth();
    await clock.advance(backMs);
    keeper.heard(nowMs, askedAt, clock.monotonic());
    return nowMs;
  };
  return { clock, keeper, truth, ask, step: (ms: number) => (stepped += ms) };
}
const written = (atMs: number): SharedState => ({
  ...noCalls,
  arrived: [[atMs - 100, 3]],
  leased: { p: [2, atMs + 400] },
  paceMs: atMs + 50,
  pausedMs: atMs + 9_000,
  atMs,
  asked: { p: [atMs, 0] },
  freeAtMs: atMs + 30,
});

describe('the keeper’s clock', () => {
  it('is this machine’s until the first answer', async () => {
    const { clock, keeper } = await start();
    expect([keeper.earliest(), keeper.latest()]).toEqual([clock.now(), clock.now()]);
  });

  it('is made of all answers, also of two that were asked for at one moment', async () => {
    const { clock, keeper, truth } = await start();
    const askedAt = clock.monotonic();
    await clock.advance(30);
    keeper.heard(truth() - 30, askedAt, clock.monotonic());
    keeper.heard(truth(), askedAt, clock.monotonic());
    expect(keeper.latest() - keeper.earliest()).toBeLessThan(1);
  });

  it('lies between an earliest and a latest guess, a round trip apart', async () => {
    const { clock, keeper, truth, ask } = await start();
    await ask(30, 5);
    expect(keeper.earliest()).toBeCloseTo(truth() - 5, 0);
    expect(keeper.latest()).toBeCloseTo(truth() + 30, 0);
    expect(keeper.latest(clock.monotonic() - 1_000)).toBeCloseTo(keeper.latest() - 1_000, 5);
    const at = truth() + 500;
    expect(keeper.surelyAt(at)).toBeCloseTo(clock.monotonic() + 505, 0);
    expect(keeper.possiblyAt(at)).toBeCloseTo(clock.monotonic() + 470, 0);
  });

  it('is known better with each answer, and no worse after a slow one', async () => {
    const { keeper, ask, truth } = await start();
    await ask(30, 5);
    await ask(2, 20);
    expect(keeper.latest() - keeper.earliest()).toBeLessThan(8);
    const known = keeper.latest() - truth();
    await ask(300, 0);
    await ask(0, 300);
    await ask(5_000, 2_000);
    expect(keeper.latest() - keeper.earliest()).toBeLessThan(8 + 2 * 7_600 * 2e-4);
    expect(keeper.latest() - truth()).toBeLessThan(known + 2);
  });

  it('takes a slow answer for no step: rows stay as they are', async () => {
    const { keeper, ask, truth } = await start();
    await ask();
    const state = written(truth());
    for (const [there, back] of [
      [4_000, 0],
      [1, 1],
      [0, 4_000],
      [1, 1],
    ] as const) {
      await ask(there, back);
      expect(keeper.rebased(state)).toBe(state);
    }
  });

  it('is never outside its guesses, however answers travel and both clocks drift', async () => {
    const answers = fc.array(
      fc.record({
        idleMs: fc.integer({ min: 0, max: 60_000 }),
        there: fc.constantFrom(0, 1, 30, 3_000, 30_000),
        back: fc.constantFrom(0, 1, 30, 3_000, 30_000),
      }),
      { minLength: 1, maxLength: 20 },
    );
    await fc.assert(
      fc.asyncProperty(answers, fc.integer({ min: -180, max: 180 }), async (all, driftPpm) => {
        const { clock, keeper, truth, ask } = await start(1e12, driftPpm);
        for (const { idleMs, there, back } of all) {
          await clock.advance(idleMs);
          // The newest row that the answer can hold.
          const state = written(await ask(there, back));
          expect(keeper.earliest()).toBeLessThanOrEqual(truth() + 1);
          expect(keeper.latest()).toBeGreaterThanOrEqual(truth() - 1);
          expect(keeper.rebased(state)).toBe(state);
        }
      }),
      { numRuns: 100, seed: 20261123 },
    );
  });

  it.each([300, 900, 5_000, 3_600_000])(
    'moves rows along that were written before a step of %i ms',
    async (byMs) => {
      const { clock, keeper, truth, ask, step } = await start();
      await ask();
      const before = written(truth());
      step(byMs);
      await clock.advance(100);
      await ask();
      const moved = keeper.rebased(before);
      // Never to an earlier time than the true one, or a call would be forgotten too soon.
      for (const late of [
        moved.atMs - before.atMs,
        moved.arrived[0]![0] - before.arrived[0]![0],
        moved.leased.p![1] - before.leased.p![1],
        moved.pausedMs - before.pausedMs,
        moved.paceMs - before.paceMs,
        moved.freeAtMs - before.freeAtMs,
      ]) {
        expect(late).toBeGreaterThanOrEqual(byMs);
        expect(late).toBeLessThan(byMs + 5);
      }
      const since = written(truth());
      expect(keeper.rebased(since)).toBe(since);
      await clock.advance(200);
      await ask();
      expect(keeper.rebased(before).atMs).toBe(moved.atMs);
      expect(keeper.rebased({ ...noCalls })).toEqual(noCalls);
    },
  );

  it('moves a row along by all steps since it was written', async () => {
    const { clock, keeper, truth, ask, step } = await start();
    await ask();
    const first = written(truth());
    step(3_600_000);
    await ask();
    const second = written(truth());
    step(60_000);
    await clock.advance(50);
    await ask();
    expect(keeper.rebased(first).atMs - first.atMs).toBeGreaterThanOrEqual(3_660_000);
    expect(keeper.rebased(second).atMs - second.atMs).toBeGreaterThanOrEqual(60_000);
    expect(keeper.rebased(second).atMs - second.atMs).toBeLessThan(60_010);
  });

  it('remembers the last eight steps', async () => {
    const { clock, keeper, truth, ask, step } = await start();
    await ask();
    const first = written(truth());
    for (let i = 0; i < 9; i++) {
      step(3_600_000);
      await clock.advance(50);
      await ask();
    }
    expect(Math.round((keeper.rebased(first).atMs - first.atMs) / 3_600_000)).toBe(8);
  });

  it('takes a row for new at the most, where the step was noticed long after it', async () => {
    const { clock, keeper, truth, ask, step } = await start();
    await ask();
    step(3_600_000);
    await clock.advance(7_200_000);
    // Somebody else, who knows of the step, wrote it a while ago.
    const other = written(truth() - 2_400_000);
    await ask();
    expect(keeper.rebased(other).atMs).toBeLessThanOrEqual(truth());
  });

  it('moves a row along that was written before a step forward and a small one back', async () => {
    const { clock, keeper, truth, ask, step } = await start();
    await ask();
    const before = written(truth());
    for (const byMs of [3_600_000, -700]) {
      step(byMs);
      await clock.advance(20);
      await ask();
    }
    expect(keeper.rebased(before).atMs - before.atMs).toBeGreaterThanOrEqual(3_599_300);
    await clock.advance(10);
    const since = written(truth());
    expect(keeper.rebased(since)).toBe(since);
  });

  it('believes no answer that a later one overtook', async () => {
    const { clock, keeper, truth, ask, step } = await start();
    await ask();
    const askedAt = clock.monotonic();
    const nowMs = truth();
    step(-3_600_000);
    await clock.advance(10);
    await ask();
    keeper.heard(nowMs, askedAt, clock.monotonic());
    expect(keeper.latest()).toBeLessThan(truth() + 10);
  });

  it('lets rows grow old after a step forward was taken back', async () => {
    const { clock, keeper, truth, ask, step } = await start();
    await ask();
    step(3_600_000);
    await ask();
    step(-3_600_000);
    await clock.advance(20);
    // Written in the moment of the answer.
    await ask(1, 0);
    const since = written(truth());
    await clock.advance(600_000);
    await ask();
    expect(keeper.rebased(since)).toBe(since);
  });

  it('takes a row from the future for new: somebody stepped the clock back', async () => {
    const { keeper, truth, ask, step } = await start();
    await ask();
    const before = written(truth());
    step(-3_600_000);
    await ask();
    const moved = keeper.rebased(before);
    expect(moved.atMs).toBeCloseTo(keeper.earliest(), 5);
    expect(moved.pausedMs - moved.atMs).toBe(9_000);
    expect(moved.leased.p![1] - moved.atMs).toBe(400);
    const since = written(truth());
    expect(keeper.rebased(since)).toBe(since);
  });
});
