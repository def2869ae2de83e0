import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWindow, type Bucket } from '../../src/calls/window.ts';

/**
 * What a window promises, said once more as plainly as can be: all calls in a list, nothing merged, nothing summed up.
 * A call counts from its lease until one window after it arrived, and five milliseconds and a fiftieth of a percent.
 */
class Reference {
  leased: { holder: string; untilMs: number }[] = [];
  arrived: number[] = [];
  paceMs = -Infinity;
  aheadMs = 0;
  pausedMs = -Infinity;
  readonly heldMs: number;
  readonly stepMs: number;
  readonly creditMs: number;

  readonly #limit: number;
  constructor({ limit, windowMs }: Omit<Bucket, 'key'>) {
    this.#limit = limit;
    this.heldMs = windowMs * 1.0002 + 5;
    this.stepMs = windowMs / limit;
    this.creditMs = (Math.max(1, Math.ceil(limit / 4)) - 1) * this.stepMs;
  }
  settle(now: number) {
    for (const lease of this.leased.filter(({ untilMs }) => untilMs <= now)) this.arrived.push(lease.untilMs);
    this.leased = this.leased.filter(({ untilMs }) => untilMs > now);
    this.arrived = this.arrived.filter((at) => at + this.heldMs > now);
  }
  used(now: number) {
    this.settle(now);
    return this.leased.length + this.arrived.length;
  }
  freeAt(now: number, urgent: boolean): number {
    this.settle(now);
    const tolerance = urgent ? this.creditMs : Math.min(this.creditMs, 100);
    const leaves = [
      ...this.arrived.map((at) => at + this.heldMs),
      ...this.leased.map(() => Infinity),
    ].toSorted((a, b) => a - b);
    const over = leaves.length + 1 - this.#limit;
    return Math.max(now, this.pausedMs, this.paceMs - tolerance, over > 0 ? leaves[over - 1]! : now);
  }
  lease(holder: string, untilMs: number, at: number, waited: boolean) {
    this.leased.push({ holder, untilMs });
    const lastAt = this.paceMs - this.aheadMs;
    const queued = waited && at - lastAt <= 2 * this.stepMs + 100;
    const kept = queued ? Math.max(0, Math.min(this.aheadMs, this.creditMs) - this.stepMs) - 100 : 0;
    this.paceMs = Math.max(this.paceMs, at + kept) + this.stepMs;
    this.aheadMs = Math.max(0, this.paceMs - at);
  }
  take(holder: string): boolean {
    const i = this.leased.findIndex((lease) => lease.holder === holder);
    if (i >= 0) this.leased.splice(i, 1);
    return i >= 0;
  }
}

const command = fc.oneof(
  fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 700 }) }),
  fc.record({
    kind: fc.constant('take' as const),
    urgent: fc.boolean(),
    waited: fc.boolean(),
    forMs: fc.constantFrom(150, 400, Infinity),
  }),
  fc.record({ kind: fc.constant('arrive' as const), lease: fc.nat(20), agoMs: fc.constantFrom(0, 0, 3, 80) }),
  fc.record({ kind: fc.constant('giveBack' as const), lease: fc.nat(20) }),
  fc.record({ kind: fc.constant('pause' as const), ms: fc.integer({ min: 0, max: 1_500 }) }),
  fc.record({
    kind: fc.constant('charge' as const),
    calls: fc.integer({ min: 1, max: 3 }),
    ms: fc.integer({ min: 0, max: 1_500 }),
  }),
  fc.record({ kind: fc.constant('store' as const) }),
);

describe('a window', () => {
  it('agrees with its plain description after any commands, 10,000 sequences of them', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.constantFrom(100, 1_000, 3_000),
        fc.array(command, { maxLength: 40 }),
        (limit, windowMs, commands) => {
          const bucket = { limit, windowMs };
          let window = createWindow(bucket);
          const reference = new Reference(bucket);
          let now = 1_000_000;
          let holders = 0;
          for (const one of commands) {
            if (one.kind === 'advance') now += one.ms;
            if (one.kind === 'take') {
              const at = window.freeAt(now, 0, one.urgent);
              if (at < Infinity) {
                const holder = `h${holders++}`;
                window.lease(holder, at + one.forMs, at, one.waited);
                reference.lease(holder, at + one.forMs, at, one.waited);
              }
            }
            if (one.kind === 'arrive') {
              // News of what had ended before counts only if nobody has looked meanwhile.
              window.used(now);
              reference.settle(now);
              window.arrive(`h${one.lease}`, now - one.agoMs);
              if (reference.take(`h${one.lease}`)) reference.arrived.push(now - one.agoMs);
            }
            if (one.kind === 'giveBack') {
              window.used(now);
              reference.settle(now);
              window.giveBack(`h${one.lease}`);
              if (reference.take(`h${one.lease}`)) reference.paceMs -= reference.stepMs;
            }
            if (one.kind === 'pause') {
              window.pause(now + one.ms);
              reference.pausedMs = Math.max(reference.pausedMs, now + one.ms);
            }
            if (one.kind === 'charge') {
              window.charge(one.calls, now + one.ms);
              for (let i = 0; i < one.calls; i++) reference.arrived.push(now + one.ms - reference.heldMs);
            }
            // As it is stored, times of leases without an end are none: the row has only such that end.
            if (one.kind === 'store' && reference.leased.every(({ untilMs }) => untilMs < Infinity)) {
              const state = window.state();
              if (Number.isInteger(now) && state.arrived.every(([at]) => reference.arrived.includes(at)))
                window = createWindow(bucket, JSON.parse(JSON.stringify(state)) as typeof state);
            }
            expect(window.used(now)).toBe(reference.used(now));
            for (const urgent of [true, false])
              expect(window.freeAt(now, 0, urgent)).toBeCloseTo(reference.freeAt(now, urgent), 6);
          }
        },
      ),
      { numRuns: 10_000, seed: 20261123 },
    );
  });

  it.each([true, false])(
    'holds nobody up for a burst of long ago, and one of now for no longer than its own time (urgent: %s)',
    (urgent) => {
      const window = createWindow({ limit: 500, windowMs: 60_000 });
      const go = (now: number, asUrgent: boolean) => {
        const at = window.freeAt(now, 0, asUrgent);
        window.lease('own', Infinity, at, true);
        window.arrive('own', at);
        return at;
      };
      for (let i = 0; i < 125; i++) go(0, true);
      // 15 s of the pace are gone; then one call for each 120 ms, whoever comes between.
      let now = 0;
      let served = 0;
      for (; now < 60_000; served++) {
        now = go(now, false);
        if (urgent && served % 10 === 0) now = go(now + 300, true);
      }
      expect(served).toBeGreaterThan(urgent ? 250 : 370);
      for (let i = 0; i < 125; i++) go(500_000, true);
      expect(go(3_600_000, true)).toBe(3_600_000);
      expect(go(3_600_000, false)).toBeLessThanOrEqual(3_600_000 + 240);
    },
  );

  it('estimates what freeAt says for those ahead, and never forever', () => {
    const window = createWindow({ limit: 3, windowMs: 1_000 });
    for (let i = 0; i < 3; i++) window.lease('own', Infinity, 0, false);
    expect(window.freeAt(0)).toBe(Infinity);
    expect(window.estimate(0, 0)).toBeLessThan(2_000);
    for (let i = 0; i < 3; i++) window.arrive('own', i * 10);
    for (const ahead of [0, 1, 2]) expect(window.estimate(50, ahead)).toBe(window.freeAt(50, ahead));
    expect(window.estimate(50, 3)).toBeCloseTo(window.freeAt(50, 0) + 1_005.2, 3);
    expect(window.estimate(50, 300)).toBeCloseTo(window.freeAt(50, 0) + 100 * 1_005.2, 1);
  });

  it('is as large at a limit of 100,000 as at one of 200, and errs by a hundredth of the window at most', () => {
    const window = createWindow({ limit: 100_000, windowMs: 60_000 });
    for (let at = 0; at < 60_000; at++) {
      window.lease('own', Infinity, at, true);
      window.arrive('own', at);
    }
    expect(window.state().arrived.length).toBeLessThan(300);
    expect(window.used(60_000)).toBe(60_000);
    for (const later of [10_000, 30_000, 50_000]) {
      const left = window.used(60_000 + later);
      expect(left).toBeGreaterThanOrEqual(60_000 - later);
      expect(left).toBeLessThanOrEqual(60_000 - later + 600);
    }
    expect(window.used(121_000)).toBe(0);
  });

  it('counts how many may go by a time: what is left of the budget, at the pace', () => {
    const window = createWindow({ limit: 4, windowMs: 1_000 });
    const by = (ms: number, urgent = true) => window.freeBy(0, ms, urgent);
    expect([0, 249, 250, 749, 750, 100_000].map((ms) => by(ms))).toEqual([1, 1, 2, 3, 4, 4]);
    window.pause(500);
    expect([499, 500, 749, 750].map((ms) => by(ms))).toEqual([0, 1, 1, 2]);
    window.pause(100);
    expect(window.pausedUntil()).toBe(500);
    window.lease('own', Infinity, 0, false);
    expect(by(100_000)).toBe(3);
    window.arrive('own', 0);
    expect([1_005, 1_006].map((ms) => by(ms))).toEqual([3, 3]);
    for (let i = 0; i < 3; i++) window.lease('own', Infinity, 0, false);
    expect([1_005, 1_006].map((ms) => by(ms))).toEqual([0, 1]);
    for (let i = 0; i < 3; i++) window.arrive('own', 900);
    expect([1_006, 1_905, 1_906].map((ms) => by(ms))).toEqual([1, 1, 4]);
  });

  it('lets fewer go by a time that are not urgent', () => {
    const window = createWindow({ limit: 100, windowMs: 100_000 });
    window.lease('own', Infinity, 0, false);
    // A quarter of the budget may go at once, or a tenth of a second's worth.
    expect(window.freeBy(0, 0, true)).toBe(1);
    expect(window.freeBy(0, 10_000, true)).toBe(11);
    expect(window.freeBy(0, 10_000, false)).toBe(10);
  });

  it('is empty when the last one has left, and not before those under way have arrived', () => {
    const window = createWindow({ limit: 4, windowMs: 1_000 });
    expect(window.emptyAt(0)).toBeUndefined();
    for (const at of [0, 100]) {
      window.lease('own', Infinity, at, false);
      window.arrive('own', at);
    }
    expect(window.emptyAt(200)).toBeCloseTo(1_105.2, 6);
    window.lease('own', Infinity, 200, false);
    expect(window.emptyAt(200)).toBe(1_200);
    window.giveBack('own');
    expect(window.emptyAt(1_105)).toBeCloseTo(1_105.2, 6);
    expect(window.emptyAt(1_106)).toBeUndefined();
  });

  it('without a length counts what is under way, and knows nothing of a pace', () => {
    const window = createWindow({ limit: 3, windowMs: 0 });
    for (let i = 0; i < 2; i++) window.lease('own', Infinity, 0, true);
    expect([window.used(0), window.freeBy(0, 0, false), window.freeAt(7)]).toEqual([2, 1, 7]);
    window.lease('own', Infinity, 7, true);
    expect([window.used(7), window.freeBy(7, 100, true), window.freeAt(7)]).toEqual([3, 0, Infinity]);
    expect(window.estimate(7, 0)).toBeLessThan(Infinity);
    window.arrive('own', 9);
    expect([window.used(9), window.freeAt(9)]).toEqual([2, 9]);
    window.charge(5, 100);
    expect(window.used(9)).toBe(2);
    window.pause(50);
    expect([window.freeAt(9), window.freeBy(9, 49, true), window.freeBy(9, 50, true)]).toEqual([50, 0, 1]);
  });

  it('ignores who has nothing under way, and charges of nothing', () => {
    const window = createWindow({ limit: 2, windowMs: 1_000 });
    window.lease('own', Infinity, 0, false);
    const before = window.state();
    window.giveBack('nobody');
    window.arrive('nobody', 5);
    window.charge(0, 5_000);
    window.charge(-1, 5_000);
    expect(window.state()).toEqual(before);
    expect(window.used(0)).toBe(1);
  });

  it('is stored without what has left, and with times that let nobody go early', () => {
    const window = createWindow({ limit: 4, windowMs: 1_000 });
    expect(window.state()).toEqual({ arrived: [], leased: {}, paceMs: 0, aheadMs: 0, pausedMs: 0 });
    window.lease('a', 500.5, 0, false);
    window.lease('a', 400.2, 250, false);
    window.lease('b', 900.1, 500, false);
    window.arrive('b', 500.4);
    window.pause(700);
    expect(window.state()).toEqual({
      ...{ arrived: [[501, 1]], leased: { a: [2, 501] } },
      ...{ paceMs: 750, aheadMs: 250, pausedMs: 700 },
    });
    expect(window.used(600)).toBe(3);
    expect(window.state()).toMatchObject({
      arrived: [
        [501, 1],
        [501, 2],
      ],
      leased: {},
    });
    const again = createWindow({ limit: 4, windowMs: 1_000 }, window.state());
    expect([600, 1_505, 1_506, 1_507].map((now) => again.used(now))).toEqual([3, 3, 3, 0]);
    expect(window.used(1_600)).toBe(0);
    expect(window.state()).toMatchObject({ arrived: [], leased: {} });
  });

  it('holds up one for those ahead of it, by a step for each, and for ever where they take all', () => {
    const window = createWindow({ limit: 4, windowMs: 1_000 });
    window.lease('own', Infinity, 0, false);
    expect([0, 1, 2, 3].map((ahead) => window.freeAt(0, ahead))).toEqual([250, 500, 750, Infinity]);
  });

  it('takes a call for urgent that does not say', () => {
    const window = createWindow({ limit: 100, windowMs: 100_000 });
    window.lease('own', Infinity, 0, false);
    expect([window.freeAt(0), window.freeAt(0, 0, true), window.freeAt(0, 0, false)]).toEqual([0, 0, 900]);
    expect([window.estimate(0, 0), window.estimate(0, 30)]).toEqual([0, 7_000]);
  });

  it('guesses that what is under way arrives at once', () => {
    const window = createWindow({ limit: 3, windowMs: 5_000 });
    for (let i = 0; i < 3; i++) window.lease('own', Infinity, 0, false);
    expect(window.estimate(0, 0)).toBe(5_006);
    expect(window.estimate(0, 3)).toBe(10_012);
  });

  it('looks at the time before it answers anything', () => {
    const ended = () => {
      const window = createWindow({ limit: 1, windowMs: 1_000 });
      window.lease('own', 100, 0, false);
      return window;
    };
    expect(ended().freeAt(2_000)).toBe(2_000);
    expect(ended().estimate(2_000, 0)).toBe(2_000);
    expect(ended().freeBy(2_000, 2_000, true)).toBe(1);
    expect(ended().emptyAt(2_000)).toBeUndefined();
    const window = ended();
    window.used(99);
    expect(window.state().leased).toEqual({ own: [1, 100] });
    window.used(100);
    expect(window.state()).toMatchObject({ arrived: [[100, 1]], leased: {} });
  });

  it('frees a call in the millisecond in which it leaves, and is empty with the last of many', () => {
    const window = createWindow({ limit: 3, windowMs: 5_000 });
    for (const at of [0, 10, 20]) {
      window.lease('own', Infinity, at, false);
      window.arrive('own', at);
    }
    expect([5_005, 5_006].map((ms) => window.freeBy(100, ms, true))).toEqual([0, 1]);
    expect(window.emptyAt(100)).toBe(5_026);
  });
});
