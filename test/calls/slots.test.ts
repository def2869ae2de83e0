import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSlots, transitMs } from '../../src/calls/slots.ts';
import { manualClock } from '../support/manualClock.ts';

const open = () => {
  const clock = manualClock();
  const told: string[] = [];
  const slots = createSlots<string>(clock, {
    arrived: (what, atMs) => void told.push(`${what} arrived ${atMs}`),
    ended: (what) => void told.push(`${what} ended`),
    unused: (what) => void told.push(`${what} unused`),
  });
  return { clock, slots, told };
};

describe('a slot', () => {
  it('has arrived when it is answered, and then ends', async () => {
    const { clock, slots, told } = open();
    const slot = slots.open('a');
    await clock.advance(500);
    slot.sent();
    await clock.advance(40);
    slot.ended();
    expect(told).toEqual(['a arrived 540', 'a ended']);
  });

  it('has arrived after its transit, however long the answer takes', async () => {
    const { clock, slots, told } = open();
    const slot = slots.open('a');
    slot.sent();
    await clock.advance(transitMs - 1);
    slots.settleOverdue();
    expect(told).toEqual([]);
    await clock.advance(1);
    slots.settleOverdue();
    expect(told).toEqual([`a arrived ${transitMs}`]);
    await clock.advance(60_000);
    slot.ended();
    expect(told).toEqual([`a arrived ${transitMs}`, 'a ended']);
  });

  it('counts as arrived only when it ends, if nobody knows that it was sent', async () => {
    const { clock, slots, told } = open();
    const slot = slots.open('a');
    await clock.advance(60_000);
    slots.settleOverdue();
    expect(told).toEqual([]);
    slot.ended();
    expect(told).toEqual(['a arrived 60000', 'a ended']);
  });

  it('may not be sent after its time', async () => {
    const { clock, slots } = open();
    const slot = slots.open('a', 100);
    await clock.advance(100);
    expect(slot.usable()).toBe(true);
    await clock.advance(1);
    expect(slot.usable()).toBe(false);
    expect(slots.open('b').usable()).toBe(true);
  });

  it('is told of once, whatever is said of it twice, and never as arrived before it can have', async () => {
    const step = fc.constantFrom('sent', 'sent', 'ended', 'unused', 'settle', 'wait 60', 'wait 60');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(step, fc.nat(3)), { maxLength: 40 }), async (steps) => {
        const { clock, slots, told } = open();
        const all = Array.from({ length: 4 }, (_, i) => ({
          slot: slots.open(`${i}`),
          sentAt: Infinity,
          over: false,
        }));
        for (const [kind, which] of steps) {
          const one = all[which]!;
          if (kind === 'sent') {
            one.slot.sent();
            if (!one.over) one.sentAt = Math.min(one.sentAt, clock.monotonic());
          }
          // What has been sent has been used.
          if (kind === 'unused' && one.sentAt === Infinity) {
            one.slot.unused();
            one.over = true;
          }
          if (kind === 'ended') {
            one.slot.ended();
            one.over = true;
          }
          if (kind === 'settle') slots.settleOverdue();
          if (kind === 'wait 60') await clock.advance(60);
        }
        for (const { slot } of all) slot.ended();
        slots.settleOverdue();
        for (const [i, { sentAt }] of all.entries()) {
          const own = told.filter((line) => line.startsWith(`${i} `)).map((line) => line.split(' '));
          const kinds = own.map(([, kind]) => kind).join();
          expect(['unused', 'arrived,ended']).toContain(kinds);
          // What was never sent has arrived, as far as anybody can tell, when it ended.
          const arrivedAt = sentAt === Infinity ? sentAt : Number(own[0]![2]);
          expect(arrivedAt).toBeGreaterThanOrEqual(sentAt);
          expect(arrivedAt).toBeLessThanOrEqual(sentAt + transitMs);
        }
      }),
      { numRuns: 300, seed: 20261123 },
    );
  });
});
