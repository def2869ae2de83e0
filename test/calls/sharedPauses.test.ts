import { describe, expect, it } from 'vitest';
import type { BudgetRows } from '../../src/calls/budgetRows.ts';
import type { Bucket } from '../../src/calls/window.ts';
import { me, openLimiter } from './leasing.ts';

// How a pause reaches the other processes, and theirs this one. All times are milliseconds since the test began.

const ten: Bucket = { key: 'ten', limit: 10, windowMs: 1_000 };
const wide: Bucket = { key: 'wide', limit: 1_000, windowMs: 60_000 };
const batch = `${me}.1`;
const lost = new Error('lost');

describe('a pause', () => {
  it('is told to all at once, and ends what is leased of that bucket', async () => {
    const { ask, wait, limiter, clock, sentAt, row, events } = await openLimiter();
    ask([ten], 3);
    ask([wide, ten], 2);
    ask([wide], 1);
    await clock.advance(10);
    sentAt();
    events();
    limiter.pause([ten], 30_000);
    limiter.pause([ten], 10_000);
    expect(limiter.pausedMs([ten])).toBe(30_000);
    expect(limiter.take([ten], 0, true)).toBeUndefined();
    expect(limiter.take([wide, ten], 0, true)).toBeUndefined();
    expect(limiter.take([wide], 0, true)?.usable()).toBe(true);
    wait([wide], 0);
    await clock.advance(0);
    // Who lost his turns asks for others, and learns that there are none.
    expect(sentAt()).toEqual(['10 exchange wide+ten loud ten']);
    expect(events()).toEqual(['10 paused']);
    expect(row('ten')).toMatchObject({ pausedMs: 30_010, leased: {} });
    expect(row('wide')).toMatchObject({ pausedMs: 'never', leased: { [batch]: [1, 1_100] } });
  });

  it('of another is learnt by asking', async () => {
    const { ask, clock, events, limiter, put, startMs } = await openLimiter();
    put('ten', { pausedMs: startMs + 5_000 });
    ask([ten], 1);
    ask([wide], 1);
    await clock.advance(0);
    expect(events()).toEqual(['0 room wide', '0 paused']);
    expect(limiter.pausedMs([ten])).toBe(5_000);
  });

  it('that begins while the rows are asked holds what they answer', async () => {
    const { ask, clock, events, limiter, sentAt, row } = await openLimiter(10);
    ask([ten], 3);
    await clock.advance(15);
    limiter.pause([ten], 1_000);
    await clock.advance(6);
    expect(events()).toEqual(['20 paused']);
    expect(limiter.take([ten], 0, true)).toBeUndefined();
    expect(limiter.pausedMs([ten])).toBe(994);
    await clock.advance(10);
    expect(sentAt()).toEqual(['0 open ten', '10 exchange ten', '20 exchange ten loud ten']);
    expect(row('ten').leased).toEqual({});
    expect(row('ten').pausedMs).toBeCloseTo(1_020, 0);
  });

  it.each([
    { during: undefined, ms: 30_000 },
    { during: 10_000, ms: 30_000 },
    { during: 60_000, ms: 60_000 },
  ])('is told again when that failed, the longest ($during while it failed)', async ({ during, ms }) => {
    const { clock, limiter, rows, sentAt, row, troubles } = await openLimiter();
    const { exchange } = rows;
    rows.exchange = async () => {
      rows.exchange = exchange;
      await clock.sleep(10);
      throw lost;
    };
    limiter.pause([ten], 30_000);
    await clock.advance(0);
    if (during) limiter.pause([ten], during);
    await clock.advance(59);
    expect(troubles).toEqual([lost]);
    await clock.advance(1);
    // What is new since goes at once, and takes that along.
    expect(sentAt()).toEqual(['0 open ten', `${during ? 10 : 60} exchange ten loud ten`]);
    expect(row('ten').pausedMs).toBe(ms);
  });

  it.each([
    { ms: 10, sent: 0 },
    { ms: 11, sent: 1 },
  ])('of $ms ms is not told again when it is over, with nothing else', async ({ ms, sent }) => {
    const { clock, limiter, rows, sentAt, troubles } = await openLimiter();
    const { exchange } = rows;
    rows.exchange = async () => {
      rows.exchange = exchange;
      await clock.sleep(10);
      throw lost;
    };
    limiter.pause([ten], ms);
    await clock.advance(500);
    expect(troubles).toEqual([lost]);
    expect(sentAt()).toHaveLength(1 + sent);
  });

  it.each([
    { title: 'is told', during: [] },
    { title: 'is told once, beside another,', during: [20_000] },
  ])('and what else is new $title again when others wrote all the time', async ({ during }) => {
    const { ask, takeAll, clock, limiter, rows, sentAt, row, stored } = await openLimiter();
    ask([ten], 3);
    await clock.advance(0);
    for (const slot of takeAll([ten])) slot.ended();
    const { exchange } = rows;
    let refusals = 0;
    const refuse: BudgetRows['exchange'] = (groups) => {
      if (++refusals === 12) rows.exchange = exchange;
      return Promise.resolve({
        ...{ written: groups.map(() => false), rows: [stored.get('ten')!], nowMs: clock.now() },
      });
    };
    rows.exchange = refuse;
    limiter.learn([ten], [{ remaining: 2, resetMs: 9_000 }]);
    limiter.pause([ten], 30_000);
    await clock.advance(0);
    for (const ms of during) limiter.pause([ten], ms);
    sentAt();
    await clock.advance(200);
    expect(sentAt()).toEqual(['150 exchange ten loud ten']);
    expect(row('ten')).toMatchObject({ leased: {}, pausedMs: 30_000 });
    const arrived = row('ten').arrived.map(([, calls]) => Number(calls));
    // With those of other processes of which the header told.
    expect(arrived.reduce((sum, calls) => sum + calls)).toBe(8);
  });

  it('is no news of another kind: that ends nothing that is leased', async () => {
    const { ask, wait, clock, limiter, sentAt } = await openLimiter(10);
    ask([ten], 3);
    await clock.advance(20);
    const slot = limiter.take([ten], 0, true)!;
    wait([ten], 2);
    sentAt();
    ask([wide], 1);
    await clock.advance(5);
    slot.ended();
    await clock.advance(15);
    expect(sentAt()).toEqual(['20 open wide', '30 exchange wide']);
    expect(limiter.take([ten], 0, true)?.usable()).toBe(true);
  });

  it('outlives a look at rows that do not know of it yet', async () => {
    const { ask, clock, limiter, rows } = await openLimiter();
    ask([ten], 3);
    await clock.advance(0);
    rows.exchange = () => Promise.reject(lost);
    limiter.pause([ten], 30_000);
    await clock.advance(10);
    limiter.changed('ten');
    await clock.advance(0);
    expect(limiter.pausedMs([ten])).toBe(29_990);
    await limiter.refresh([ten]);
    expect(limiter.pausedMs([ten])).toBe(29_990);
  });
});

describe('a change of which another process told', () => {
  const started = async () => {
    const opened = await openLimiter();
    opened.ask([wide, ten], 2);
    opened.ask([ten], 3);
    opened.ask([wide], 1);
    await opened.clock.advance(10);
    opened.sentAt();
    opened.events();
    return opened;
  };

  it('takes what is leased of a bucket that is paused', async () => {
    const { limiter, clock, sentAt, events, stored, startMs } = await started();
    const row = stored.get('ten')!;
    stored.set('ten', { ...row, state: { ...row.state, pausedMs: startMs + 5_000 } });
    limiter.changed('ten');
    await clock.advance(0);
    expect(sentAt()).toEqual(['10 read ten']);
    expect(events()).toEqual(['10 paused']);
    expect(limiter.pausedMs([ten])).toBe(4_990);
    expect(limiter.take([ten], 0, true)).toBeUndefined();
    expect(limiter.take([wide, ten], 0, true)).toBeUndefined();
    expect(limiter.take([wide], 0, true)?.usable()).toBe(true);
  });

  it.each(['wide', 'strange'])('takes nothing where nothing is paused: %s', async (key) => {
    const { limiter, clock, sentAt, events, troubles } = await started();
    limiter.changed(key);
    await clock.advance(0);
    expect(sentAt()).toEqual(key === 'wide' ? ['10 read wide'] : []);
    expect([events(), troubles]).toEqual([[], []]);
    expect(limiter.take([wide], 0, true)?.usable()).toBe(true);
    expect(limiter.take([ten], 0, true)?.usable()).toBe(true);
  });

  it('is complained of when it cannot be read', async () => {
    const { limiter, clock, troubles, rows } = await started();
    rows.read = () => Promise.reject(lost);
    limiter.changed('ten');
    await clock.advance(0);
    await limiter.refresh([ten]);
    expect(troubles).toEqual([lost, lost]);
  });
});
