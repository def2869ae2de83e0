import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAlarms, type Alarm } from '../../src/calls/alarms.ts';
import { manualClock } from '../support/manualClock.ts';

const grainMs = 8;

const open = () => {
  const clock = manualClock();
  const alarms = createAlarms(clock);
  /** When each rang, by its number. */
  const rings = new Map<number, number[]>();
  const alarm = (number: number): Alarm => ({
    together: undefined,
    ring: () => void rings.set(number, [...(rings.get(number) ?? []), clock.monotonic()]),
  });
  return { clock, alarms, rings, alarm };
};

describe('an alarm', () => {
  it('rings once, never early and hardly late, unless it was cleared; one timer serves all', async () => {
    const step = fc.record({
      afterMs: fc.integer({ min: 0, max: 40 }),
      ms: fc.oneof(fc.integer({ min: 0, max: 60 }), fc.constantFrom(1_000, 30_000, 3_600_000)),
      clearedAfterMs: fc.option(fc.integer({ min: 0, max: 80 }), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
        const { clock, alarms, rings, alarm } = open();
        const due: { at: number; clearedAt: number }[] = [];
        let clearing = 0;
        for (const [number, { afterMs, ms, clearedAfterMs }] of steps.entries()) {
          await clock.advance(afterMs);
          const own = alarm(number);
          alarms.set(ms, own);
          due.push({
            at: clock.monotonic() + ms,
            clearedAt: clock.monotonic() + (clearedAfterMs ?? Infinity),
          });
          if (clearedAfterMs !== undefined) {
            clearing++;
            clock.timer(clearedAfterMs, () => {
              clearing--;
              alarms.clear(own);
            });
          }
          expect(clock.sleeping() - clearing).toBeLessThanOrEqual(1);
        }
        await clock.advance(4_000_000);
        for (const [number, { at, clearedAt }] of due.entries()) {
          const rang = rings.get(number) ?? [];
          expect(rang.length).toBeLessThanOrEqual(1);
          const when = rang[0] ?? Infinity;
          expect(when).toBeGreaterThanOrEqual(at);
          // In the grain in which it was to ring it may be cleared in time or not.
          expect(when).toBeGreaterThanOrEqual(clearedAt < at ? Infinity : 0);
          expect(when).toBeLessThanOrEqual(clearedAt > at + grainMs ? at + grainMs : Infinity);
        }
        expect(clock.sleeping()).toBe(0);
      }),
      { numRuns: 200, seed: 20261123 },
    );
  });

  it('may be set, and others cleared, while others ring', async () => {
    const { clock, alarms, rings, alarm } = open();
    const [later, cleared] = [alarm(1), alarm(2)];
    alarms.set(10, {
      together: undefined,
      ring() {
        alarms.set(0, later);
        alarms.clear(cleared);
      },
    });
    alarms.set(10, cleared);
    await clock.advance(10 + 2 * grainMs);
    expect([...rings.keys()]).toEqual([1]);
  });

  it('is not heard when its timer comes early, as timers do, and rings at its time', async () => {
    const clock = manualClock();
    const early = {
      ...clock,
      timer: (ms: number, work: () => void) => clock.timer(ms > 1 ? ms - 0.9 : ms, work),
    };
    const alarms = createAlarms(early);
    let rangAt = -1;
    alarms.set(100, { together: undefined, ring: () => void (rangAt = clock.monotonic()) });
    await clock.advance(99.5);
    expect(rangAt).toBe(-1);
    for (let i = 0; i < 20; i++) await clock.advance(1);
    expect(rangAt).toBeGreaterThanOrEqual(100);
    expect(rangAt).toBeLessThanOrEqual(100 + grainMs);
  });

  it('leaves one timer behind, however many were set and cleared, and none after closing', async () => {
    const { clock, alarms, rings, alarm } = open();
    for (let i = 0; i < 10_000; i++) {
      const own = alarm(i);
      alarms.set(5_000 + (i % 1_000), own);
      alarms.clear(own);
    }
    expect(clock.sleeping()).toBe(1);
    await clock.advance(10_000);
    expect(clock.sleeping()).toBe(0);
    alarms.set(50, alarm(1));
    alarms.close();
    expect(clock.sleeping()).toBe(0);
    await clock.advance(1_000);
    expect(rings.size).toBe(0);
  });
});
