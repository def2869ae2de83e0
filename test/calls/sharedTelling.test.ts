import { describe, expect, it } from 'vitest';
import type { Bucket } from '../../src/calls/window.ts';
import { me, openLimiter } from './leasing.ts';

// What a process tells the rows, and when. All times are milliseconds since the test began.

const ten: Bucket = { key: 'ten', limit: 10, windowMs: 1_000 };
const wide: Bucket = { key: 'wide', limit: 1_000, windowMs: 60_000 };
const cap: Bucket = { key: 'cap', limit: 1, windowMs: 0 };
const batch = `${me}.1`;

describe('a call that was made', () => {
  it('is told of soon where more than half is used, with all others by then', async () => {
    const { ask, takeAll, clock, sentAt, row } = await openLimiter();
    ask([ten], 6);
    await clock.advance(0);
    const slots = takeAll([ten]);
    sentAt();
    for (const slot of slots) {
      await clock.advance(20);
      slot.ended();
    }
    await clock.advance(600);
    // At 100 those were given back that nobody took.
    expect(sentAt()).toEqual(['420 exchange ten']);
    expect(row('ten')).toMatchObject({
      arrived: [
        [20, 1],
        [40, 1],
        [60, 1],
      ],
      leased: {},
    });
  });

  it('is not told of where half is free: its lease ends by itself', async () => {
    const { ask, takeAll, clock, sentAt, row } = await openLimiter();
    ask([ten], 5);
    await clock.advance(200);
    for (const slot of takeAll([ten])) slot.ended();
    sentAt();
    await clock.advance(5_000);
    expect(sentAt()).toEqual([]);
    expect(row('ten').leased).toEqual({ [batch]: [5, 800] });
  });

  it('is told of as one that was not, when it was not', async () => {
    const { ask, takeAll, clock, sentAt, row } = await openLimiter();
    ask([wide], 1);
    await clock.advance(0);
    takeAll([wide])[0]!.unused();
    sentAt();
    await clock.advance(799);
    expect(sentAt()).toEqual([]);
    await clock.advance(1);
    expect(sentAt()).toEqual(['800 exchange wide']);
    expect(row('wide')).toMatchObject({ arrived: [], leased: {}, paceMs: 0 });
  });

  it('counts as under way until its end, and in windows from its arrival', async () => {
    const { ask, takeAll, clock, sentAt, row } = await openLimiter();
    const buckets = [cap, { key: 'one', limit: 1, windowMs: 1_000 }];
    ask(buckets, 1);
    // Somebody for whom it looks round every 100 ms.
    ask([ten], 1);
    await clock.advance(0);
    const [slot] = takeAll(buckets);
    slot!.sent();
    sentAt();
    await clock.advance(350);
    slot!.ended();
    await clock.advance(149);
    expect(sentAt()).toEqual([]);
    expect(row('cap').leased).toEqual({ [batch]: [1, 1_250] });
    await clock.advance(1);
    expect(sentAt()).toEqual(['500 exchange one cap']);
    expect(row('one')).toMatchObject({ leased: {}, arrived: [[100, 1]] });
    expect(row('cap')).toMatchObject({ leased: {}, arrived: [] });
  });

  it('is not told of by itself, however long it was under way, where much is free', async () => {
    const { ask, takeAll, clock, sentAt } = await openLimiter();
    const few = { ...cap, limit: 100 };
    ask([few], 3);
    await clock.advance(0);
    const slots = takeAll([few]);
    sentAt();
    for (const slot of slots) {
      slot.sent();
      await clock.advance(400);
      slot.ended();
    }
    await clock.advance(1_000);
    expect(sentAt()).toEqual([]);
  });

  it('is told of once in each of its buckets', async () => {
    const { ask, takeAll, clock, row, limiter } = await openLimiter();
    const buckets = [{ ...cap, limit: 8 }, wide];
    ask(buckets, 3);
    await clock.advance(0);
    const [slot] = takeAll(buckets);
    slot!.sent();
    await clock.advance(20);
    slot!.ended();
    limiter.pause(buckets, 1);
    await clock.advance(0);
    expect(row('cap')).toMatchObject({ leased: { [batch]: [2, 1_250] }, arrived: [] });
    expect(row('wide')).toMatchObject({ leased: { [batch]: [2, 350] }, arrived: [[20, 1]] });
  });

  it.each([
    { at: 600, told: [] },
    { at: 601, told: ['601 exchange hundred'], arrived: [[601, 1]] },
    {
      at: 650,
      askAt: 610,
      told: ['650 exchange hundred'],
      arrived: [
        [600, 1],
        [656, 1],
      ],
    },
  ])('is told of at once when its lease had ended before: at $at', async ({ at, askAt = 0, ...one }) => {
    const { ask, takeAll, clock, sentAt, row } = await openLimiter();
    const hundred: Bucket = { key: 'hundred', limit: 100, windowMs: 1_000 };
    ask([hundred], 1);
    await clock.advance(0);
    const [slot] = takeAll([hundred]);
    await clock.advance(askAt);
    // By now it has gone from the row, where somebody writes that.
    if (askAt > 0) ask([hundred], 1);
    await clock.advance(at - askAt);
    sentAt();
    slot!.ended();
    await clock.advance(0);
    expect(sentAt()).toEqual(one.told);
    expect(row('hundred').arrived).toEqual(one.arrived ?? []);
  });

  it.each([
    { calls: 256, arrived: 256, leased: {} },
    { calls: 257, arrived: 129, leased: { [batch]: [128, 1_100] } },
  ])('is forgotten when so many wait to be told of: $calls', async ({ calls, arrived, leased }) => {
    const { ask, takeAll, clock, limiter, row } = await openLimiter();
    const huge: Bucket = { key: 'huge', limit: 100_000, windowMs: 60_000 };
    ask([huge], calls);
    await clock.advance(0);
    const slots = takeAll([huge]);
    expect(slots).toHaveLength(calls);
    for (const slot of slots) slot.ended();
    limiter.pause([huge], 10);
    await clock.advance(0);
    expect(row('huge').leased).toEqual(leased);
    expect(row('huge').arrived.reduce((sum, [, count]) => sum + Number(count), 0)).toBe(arrived);
  });
});

describe('what an answer says of the limit', () => {
  it.each([
    { title: 'is told at once when much was unknown', remaining: 8, resetMs: 9_000, sent: true, at: 7_995 },
    {
      title: 'is told at once when nothing is left',
      limit: 1,
      remaining: 0,
      resetMs: 9_000,
      sent: true,
      at: 7_995,
    },
    {
      title: 'waits for the next exchange when it was little',
      remaining: 9,
      resetMs: 9_000,
      sent: false,
      at: 7_995,
    },
    { title: 'is over after a window, without a time', remaining: 3, resetMs: undefined, sent: true, at: -5 },
  ])('$title', async ({ limit = 10, remaining, resetMs, sent, at }) => {
    const { limiter, clock, sentAt, row } = await openLimiter();
    const bucket = { ...ten, limit };
    limiter.learn([bucket], [{ limit, remaining, ...(resetMs !== undefined && { resetMs }) }]);
    await clock.advance(0);
    expect(sentAt()).toEqual(sent ? ['0 open ten', '0 exchange ten'] : []);
    limiter.pause([bucket], 1);
    await clock.advance(0);
    expect(row('ten').arrived).toEqual([[at, limit - remaining]]);
  });

  it('is told when nothing is left, though little was unknown', async () => {
    const { limiter, clock, sentAt } = await openLimiter();
    limiter.learn([ten], [{ limit: 10, remaining: 1, resetMs: 60_000 }]);
    await clock.advance(0);
    sentAt();
    limiter.learn([ten], [{ limit: 10, remaining: 0, resetMs: 60_000 }]);
    await clock.advance(1_000);
    expect(sentAt()).toEqual(['125 exchange ten']);
    expect(limiter.view([ten])?.remaining).toBe(0);
  });

  it('is told four times in a horizon at the most', async () => {
    const { limiter, clock, sentAt } = await openLimiter();
    const learn = (remaining: number) => limiter.learn([ten], [{ limit: 10, remaining, resetMs: 60_000 }]);
    learn(8);
    await clock.advance(10);
    expect(sentAt()).toEqual(['0 open ten', '0 exchange ten']);
    learn(5);
    learn(4);
    await clock.advance(114);
    expect(sentAt()).toEqual([]);
    await clock.advance(1);
    expect(sentAt()).toEqual(['125 exchange ten']);
    await clock.advance(1_000);
    learn(0);
    await clock.advance(0);
    expect(sentAt()).toEqual(['1125 exchange ten']);
  });
});

describe('a view', () => {
  it('is of the rows as they were last read, with times of the wall clock', async () => {
    const { ask, limiter, clock, sentAt, stored, now, startMs } = await openLimiter();
    expect(limiter.view([ten])).toMatchObject({ remaining: 10, resetsAtMs: undefined });
    ask([ten], 3);
    await clock.advance(20);
    expect(limiter.view([ten])).toMatchObject({ remaining: 7, resetsAtMs: startMs + 1_020 });
    sentAt();
    stored.clear();
    await limiter.refresh([ten]);
    expect(sentAt()).toEqual(['20 read ten']);
    expect(limiter.view([ten])?.remaining).toBe(10);
    expect(now()).toBe(20);
  });
});
