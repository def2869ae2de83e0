import { describe, expect, it } from 'vitest';
import type { Bucket } from '../../src/calls/window.ts';
import { openLimiter } from './leasing.ts';

// Rows that do not answer, and the end of a process. All times are milliseconds since the test began.

const [ten, a, b] = ['ten', 'a', 'b'].map((key) => ({ key, limit: 10, windowMs: 1_000 })) as [
  Bucket,
  Bucket,
  Bucket,
];

describe('rows that cannot be reached', () => {
  it('are tried again, ever less often, and complained of once', async () => {
    const { ask, clock, rows, line, now, troubles, events, sentAt } = await openLimiter();
    const lost = new Error('lost');
    const tried: number[] = [];
    rows.open = () => {
      tried.push(now());
      return Promise.reject(lost);
    };
    ask([ten], 1);
    await clock.advance(7_200);
    expect(tried).toEqual([0, 50, 150, 350, 750, 1_550, 3_150, 5_150, 7_150]);
    expect([troubles, events()]).toEqual([[lost], []]);
    rows.open = line.open;
    await clock.advance(2_000);
    expect(sentAt()).toEqual(['9150 exchange ten']);
    expect(events()).toEqual(['9150 room ten']);
    // The next time is another trouble.
    rows.exchange = () => {
      tried.push(now());
      return Promise.reject(lost);
    };
    tried.length = 0;
    clock.random = () => 0;
    ask([ten], 5);
    await clock.advance(100);
    expect(tried).toEqual([9_200, 9_225, 9_275]);
    expect(troubles).toEqual([lost, lost]);
  });

  it('do not answer for 5 s: another line is tried, and the statement after that one is not sent', async () => {
    const { ask, clock, rows, line, sentAt, troubles, limiter } = await openLimiter();
    const { open } = rows;
    rows.open = async (keys) => {
      rows.open = open;
      await clock.sleep(6_000);
      return line.open(keys);
    };
    ask([ten], 1);
    await clock.advance(4_999);
    expect(troubles).toEqual([]);
    await clock.advance(1);
    expect(troubles).toEqual([new Error('The database does not answer.')]);
    await clock.advance(50);
    expect(sentAt()).toEqual(['5050 open ten', '5050 exchange ten']);
    expect(limiter.take([ten], 0, true)?.usable()).toBe(true);
    await clock.advance(960);
    expect(sentAt().filter((one) => one.startsWith('6000'))).toEqual([]);
    expect(troubles).toHaveLength(1);
  });

  it('are swept every hour or so, whether or not that works', async () => {
    const { clock, rows, sentAt, troubles, limiter } = await openLimiter();
    const { sweep } = rows;
    const lost = new Error('lost');
    await clock.advance(3_599_999);
    expect(sentAt()).toEqual([]);
    await clock.advance(1);
    expect(sentAt()).toEqual(['3600000 sweep']);
    rows.sweep = () => Promise.reject(lost);
    await clock.advance(3_600_000);
    expect(troubles).toEqual([lost]);
    rows.sweep = sweep;
    clock.random = () => 0;
    await clock.advance(3_600_000 + 1_800_000);
    expect(sentAt()).toEqual(['10800000 sweep', '12600000 sweep']);
    await limiter.close();
    expect(clock.sleeping()).toBe(0);
  });
});

describe('closing', () => {
  it('gives back what is leased, asks for nothing any more, and leaves no timer', async () => {
    const { ask, clock, limiter, sentAt, row } = await openLimiter();
    ask([ten], 3);
    ask([a], 20);
    await clock.advance(5);
    sentAt();
    ask([b], 1);
    await limiter.close();
    expect(clock.sleeping()).toBe(0);
    expect(sentAt()).toEqual(['5 exchange ten a']);
    expect([row('ten').leased, row('a').leased]).toEqual([{}, {}]);
    expect(ask([b], 1)).toBe(1_000);
    limiter.pause([a], 100);
    await clock.advance(10_000);
    expect(sentAt()).toEqual([]);
    expect(clock.sleeping()).toBe(0);
  });

  it('sends nothing when nothing is leased', async () => {
    const { ask, clock, limiter, sentAt } = await openLimiter();
    ask([ten], 3);
    await limiter.close();
    await clock.advance(1_000);
    expect(sentAt()).toEqual([]);
    expect(clock.sleeping()).toBe(0);
  });

  it('waits for what is under way, and gives that back', async () => {
    const { ask, clock, limiter, sentAt, row } = await openLimiter(10);
    ask([ten], 3);
    await clock.advance(5);
    let closed = false;
    void limiter.close().then(() => (closed = true));
    await clock.advance(24);
    expect(closed).toBe(false);
    await clock.advance(1);
    expect(closed).toBe(true);
    expect(sentAt()).toEqual(['0 open ten', '10 exchange ten', '20 exchange ten']);
    expect(row('ten').leased).toEqual({});
    expect(clock.sleeping()).toBe(0);
  });

  it('ends though the rows cannot be reached', async () => {
    const { ask, clock, limiter, rows, troubles } = await openLimiter();
    ask([ten], 3);
    await clock.advance(0);
    limiter.pause([ten], 10_000);
    const lost = new Error('lost');
    rows.exchange = () => Promise.reject(lost);
    await limiter.close();
    expect(troubles).toEqual([lost]);
    expect(clock.sleeping()).toBe(0);
  });
});
