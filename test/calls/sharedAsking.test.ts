import { describe, expect, it } from 'vitest';
import { createSharedRateLimiter } from '../../src/calls/sharedRateLimit.ts';
import type { Bucket } from '../../src/calls/window.ts';
import { me, openLimiter, openRows } from './leasing.ts';

// When a process asks the rows for calls, and what it does with them. All times are milliseconds since the test began.

const bucket = (key: string): Bucket => ({ key, limit: 10, windowMs: 1_000 });
const [ten, a, b] = ['ten', 'a', 'b'].map(bucket) as [Bucket, Bucket, Bucket];
const wide: Bucket = { key: 'wide', limit: 1_000, windowMs: 60_000 };
const four: Bucket = { key: 'four', limit: 4, windowMs: 1_000 };

describe('who waits', () => {
  it('is asked for at once, with all others by then, and told when there is room', async () => {
    const { ask, limiter, clock, sentAt, events, row } = await openLimiter();
    expect(limiter.size).toBe(0);
    expect(ask([ten], 2, 3)).toBe(1_000);
    expect(ask([a, wide], 1)).toBe(1_000);
    expect(ask([ten], 20, 3)).toBe(1_000);
    expect(limiter.take([ten], 3, true)).toBeUndefined();
    expect([sentAt(), events()]).toEqual([[], []]);
    // No timer of a busy machine delays it: that one is of the sweep.
    expect(clock.sleeping()).toBe(1);
    await clock.advance(0);
    expect(sentAt()).toEqual(['0 open ten a wide', '0 exchange ten a+wide']);
    expect(events()).toEqual(['0 room ten', '0 room a wide']);
    expect(row('ten')).toMatchObject({ leased: { [`${me}.1`]: [6, 1_000] }, asked: { [me]: [0, 3] } });
    expect(row('a').leased).toEqual({ [`${me}.2`]: [1, 600] });
    expect(limiter.waitMs([ten], 3)).toBe(0);
    expect(limiter.size).toBe(3);
  });

  it('goes when his call is due, and not after it', async () => {
    const { ask, limiter, clock } = await openLimiter();
    ask([ten], 10);
    await clock.advance(0);
    const slots = [1, 2, 3].map(() => limiter.take([ten], 0, true));
    for (const slot of slots) expect(slot?.usable()).toBe(true);
    expect(limiter.take([ten], 0, true)).toBeUndefined();
    expect(limiter.waitMs([ten], 0)).toBe(100);
    await clock.advance(99);
    expect(limiter.take([ten], 0, true)).toBeUndefined();
    expect(limiter.waitMs([ten], 0)).toBe(1);
    await clock.advance(1);
    const [fourth, fifth] = [limiter.take([ten], 0, true), limiter.take([ten], 0, true)];
    expect([fourth?.usable(), fifth]).toEqual([true, undefined]);
    await clock.advance(400);
    expect([slots[0]?.usable(), fourth?.usable()]).toEqual([true, true]);
    await clock.advance(1);
    expect([slots[0]?.usable(), fourth?.usable()]).toEqual([false, true]);
  });

  it.each([500, 501])('has no turn of a call whose time is over: at %i', async (at) => {
    const { ask, limiter, clock } = await openLimiter();
    ask([ten], 3);
    await clock.advance(at);
    expect(limiter.take([ten], 0, true) === undefined).toBe(at > 500);
  });

  it('passes over those whose time is over', async () => {
    const { ask, limiter, clock } = await openLimiter();
    ask([ten], 6);
    await clock.advance(550);
    expect(limiter.take([ten], 0, true)).toBeUndefined();
    expect(limiter.waitMs([ten], 0)).toBe(0);
    expect([1, 2, 3, 4].map(() => limiter.take([ten], 0, true)?.usable())).toEqual([
      true,
      true,
      true,
      undefined,
    ]);
  });

  it('is asked for anew when the time of all that was leased is over', async () => {
    const { ask, clock, sentAt, limiter, row } = await openLimiter();
    ask([ten], 3);
    await clock.advance(0);
    sentAt();
    await clock.advance(550);
    expect(limiter.waitMs([ten], 0)).toBe(1_000);
    await clock.advance(0);
    expect(sentAt()).toEqual(['550 exchange ten']);
    expect(row('ten').leased).toEqual({ [`${me}.2`]: [3, 1_150] });
    // Without anybody's asking that is seen within 100 ms.
    await clock.advance(700);
    expect(sentAt()).toEqual(['1150 exchange ten']);
  });

  it('is asked for once more when it is worth while, however many join', async () => {
    const { ask, wait, limiter, clock, sentAt, events } = await openLimiter();
    ask([ten], 10);
    await clock.advance(50);
    events();
    sentAt();
    wait([ten], 11);
    limiter.joined([ten]);
    limiter.waitMs([ten], 0);
    await clock.advance(187);
    expect(sentAt()).toEqual([]);
    await clock.advance(1);
    expect(sentAt()).toEqual(['237.5 exchange ten']);
    expect(events()).toEqual(['237.5 room ten']);
  });

  it.each(['joined', 'waitMs'] as const)('is asked for by `%s` only beyond what is leased', async (how) => {
    const { ask, wait, limiter, clock, sentAt } = await openLimiter();
    ask([ten], 3);
    await clock.advance(10);
    sentAt();
    limiter[how]([ten], 0);
    await clock.advance(10);
    expect(sentAt()).toEqual([]);
    wait([ten], 4);
    limiter[how]([ten], 0);
    await clock.advance(0);
    expect(sentAt()).toEqual(['20 exchange ten']);
    expect([1, 2, 3, 4].map(() => limiter.take([ten], 0, true)?.usable())).toEqual([
      true,
      true,
      true,
      undefined,
    ]);
    expect(limiter.waitMs([ten], 0)).toBe(80);
  });

  it('is asked for by one exchange at a time', async () => {
    const { ask, clock, sentAt, events } = await openLimiter(10);
    ask([a], 1);
    await clock.advance(5);
    ask([b], 1);
    ask([a], 2);
    await clock.advance(100);
    expect(sentAt()).toEqual(['0 open a', '10 exchange a', '20 open b', '30 exchange a b']);
    expect(events()).toEqual(['20 room a', '40 room a', '40 room b']);
  });

  it('is told of no room where there is none', async () => {
    const { ask, clock, sentAt, events, put } = await openLimiter();
    put('four', { paceMs: 2_000 });
    expect(ask([four], 1)).toBe(1_000);
    ask([ten], 1);
    await clock.advance(1_499);
    expect(events()).toEqual(['0 room ten', '600 room ten', '1200 room ten']);
    expect(sentAt().filter((one) => one.includes('four'))).toEqual([
      '0 open four ten',
      '0 exchange four ten',
    ]);
    await clock.advance(1);
    expect(sentAt()).toEqual(['1500 exchange four']);
    expect(events()).toEqual(['1500 room four']);
  });

  it('is not mixed up with who waits for other buckets that read alike', async () => {
    const { ask, clock, sentAt } = await openLimiter();
    ask([a, b], 1);
    ask([bucket('ab')], 1);
    await clock.advance(0);
    expect(sentAt()).toEqual(['0 open a b ab', '0 exchange a+b ab']);
  });

  it('is not held up by who may ask only later', async () => {
    const { ask, clock, sentAt } = await openLimiter();
    ask([ten], 10);
    await clock.advance(50);
    sentAt();
    ask([a], 1);
    ask([ten], 11);
    await clock.advance(0);
    expect(sentAt()).toEqual(['50 open a', '50 exchange a']);
  });

  it('waits in nobody’s queue as long as there is none', async () => {
    const { clock, rows, sent } = await openRows();
    const limiter = createSharedRateLimiter({ clock, rows, longestCallMs: 1_000 });
    expect(limiter.waitMs([ten], 0)).toBe(1_000);
    await clock.advance(2_000);
    expect(sent()).toEqual([]);
    limiter.pause([ten], 500);
    await clock.advance(0);
    expect(sent()).toEqual(['open ten', 'exchange ten loud ten']);
    await limiter.close();
    expect(clock.sleeping()).toBe(0);
  });
});

describe('who has left', () => {
  it('needs nothing any longer: it is given back soon, before its time is over', async () => {
    const { ask, wait, clock, sentAt, row, limiter } = await openLimiter();
    ask([ten], 3);
    await clock.advance(50);
    sentAt();
    wait([ten], 0);
    await clock.advance(449);
    expect(sentAt()).toEqual([]);
    expect(limiter.take([ten], 0, true)).toBeUndefined();
    await clock.advance(1);
    expect(sentAt()).toEqual(['500 exchange ten']);
    expect(row('ten')).toMatchObject({ leased: {}, arrived: [], paceMs: 0 });
    await clock.advance(60_000);
    expect(sentAt()).toEqual([]);
    // Only the next sweep is left to do, and nobody looks at what another changes there.
    expect(clock.sleeping()).toBe(1);
    limiter.changed('ten');
    expect(sentAt()).toEqual([]);
  });

  it('does not let the next one ask too early', async () => {
    const { ask, wait, clock, sentAt } = await openLimiter();
    ask([ten], 10);
    await clock.advance(50);
    wait([ten], 0);
    await clock.advance(60);
    sentAt();
    ask([ten], 1);
    await clock.advance(127);
    expect(sentAt()).toEqual([]);
    await clock.advance(1);
    expect(sentAt()).toEqual(['237.5 exchange ten']);
  });
});

describe('the wait that is estimated', () => {
  it('counts what is leased for those before as theirs', async () => {
    const { ask, clock, limiter } = await openLimiter();
    ask([four], 1);
    await clock.advance(0);
    expect(limiter.estimateMs([four], () => 1)).toBe(250);
    expect(limiter.estimateMs([four], () => 2)).toBe(500);
    // Calls with other buckets besides are no others' before.
    expect(limiter.estimateMs([four, wide], ({ key }) => (key === 'four' ? 1 : 0))).toBe(500);
  });
});
