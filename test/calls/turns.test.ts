import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { patience, priorities } from '../../src/calls/fairQueue.ts';
import type { Bucket } from '../../src/calls/window.ts';
import { openTurns, stand } from './standing.ts';

const app: Bucket = { key: 'app', limit: 1, windowMs: 1_000 };
const realm = (name: string, limit = 100): Bucket => ({ key: name, limit, windowMs: 1_000 });

describe('a turn', () => {
  it('is the more urgent call’s first', async () => {
    const { clock, order, wait } = openTurns();
    for (const priority of ['poll', ...priorities.toReversed()] as const)
      void wait(priority, [app], { priority });
    await clock.advance(5_000);
    expect(order).toEqual(['poll', 'interactive', 'webhook', 'poll', 'backfill']);
  });

  it.each([
    ['webhook', patience[1]],
    ['poll', patience[2]],
    ['backfill', patience[3]],
  ] as const)(
    'comes for %s after %i more urgent ones at the latest, however many come',
    async (priority, turns) => {
      const { clock, order, wait } = openTurns();
      void wait('first', [app]);
      void wait(priority, [app], { priority });
      for (let i = 0; i < 200; i++) void wait('interactive', [app], { priority: 'interactive' });
      await clock.advance(205_000);
      expect(order.indexOf(priority)).toBe(1 + turns);
      expect(order).toHaveLength(202);
    },
  );

  it('goes round the connections, however long one’s queue is', async () => {
    const { clock, order, wait } = openTurns();
    const bucket = realm('shared', 500);
    for (let i = 0; i < 3_000; i++) void wait('deep', [bucket], { who: 'deep' });
    for (let i = 0; i < 1_000; i++) void wait(`other ${i}`, [bucket], { who: `other ${i}` });
    const share = 1_000 / bucket.limit;
    await clock.advance(2.2 * share * 1_000);
    expect(new Set(order).size).toBe(1_001);
    await clock.advance(8_300 - 2.2 * share * 1_000);
    expect(order).toHaveLength(4_000);
  });

  it('is the next one’s in the round when a connection’s first call gives up, and that connection keeps its own', async () => {
    const { clock, order, wait } = openTurns();
    const leaving = new AbortController();
    void wait('first', [app], { who: 'x' });
    void wait('a1', [app], { who: 'a', signal: leaving.signal });
    void wait('b1', [app], { who: 'b' });
    void wait('a2', [app], { who: 'a' });
    leaving.abort(new Error('left'));
    await clock.advance(3_000);
    expect(order).toEqual(['first', 'a1: left', 'a2', 'b1']);
  });

  it('is taken by a late urgent call at the next free place, with 10,000 others in line', async () => {
    const { clock, order, wait } = openTurns();
    const bucket = realm('busy');
    for (let i = 0; i < 10_000; i++)
      void wait('backfill', [bucket], { priority: 'backfill', who: `c${i % 50}` });
    await clock.advance(3_456);
    const before = order.length;
    const asked = clock.monotonic();
    void wait('urgent', [bucket], { priority: 'interactive' });
    while (!order.includes('urgent')) await clock.advance(1);
    expect(clock.monotonic() - asked).toBeLessThanOrEqual(1_005 / bucket.limit + 5);
    expect(order.indexOf('urgent') - before).toBeLessThanOrEqual(1);
  });

  it('costs nothing and leaves no timer when everybody in line gives up', async () => {
    const { clock, limiter, turns, order, wait } = openTurns();
    limiter.pause([app], 900_000);
    const leaving = new AbortController();
    for (let i = 0; i < 1_000; i++) void wait('x', [app], { who: `c${i % 7}`, signal: leaving.signal });
    await clock.advance(0);
    expect(turns.queued([app])).toBe(1_000);
    expect(clock.sleeping()).toBe(1);
    leaving.abort(new Error('left'));
    await clock.advance(0);
    expect(order).toHaveLength(1_000);
    expect(turns.queued([app])).toBe(0);
    expect(clock.sleeping()).toBe(0);
    expect([...turns.depth().values()].flat()).toEqual([0, 0, 0, 0]);
    expect(limiter.view([app])?.remaining).toBe(0);
    await clock.advance(900_000);
    expect(limiter.view([app])?.remaining).toBe(1);
  });

  it('is bounded, for each bucket over all its lines and in all', () => {
    const { turns, wait } = openTurns({ perBucket: 10, total: 15 });
    for (let i = 0; i < 11; i++) void wait('', [app, realm(`realm ${i}`)]);
    expect(turns.queued([realm('other'), app])).toBe(10);
    expect(turns.hasRoom([app, realm('other')])).toBe(false);
    expect(turns.hasRoom([realm('other')])).toBe(true);
    const other: Bucket = { key: 'slow', limit: 1, windowMs: 60_000 };
    for (let i = 0; i < 6; i++) void wait('', [other]);
    expect(turns.hasRoom([realm('other')])).toBe(false);
  });
});

describe('lines that share a bucket', () => {
  it('take turns by priority, and within one by who was served longest ago', async () => {
    const { clock, order, wait } = openTurns();
    void wait('first', [app, realm('a')]);
    for (const name of ['a', 'b', 'c']) for (let i = 0; i < 2; i++) void wait(name, [app, realm(name)]);
    void wait('backfill', [app, realm('d')], { priority: 'backfill' });
    void wait('interactive', [realm('e'), app], { priority: 'interactive' });
    await clock.advance(9_000);
    expect(order.slice(0, 2)).toEqual(['first', 'interactive']);
    expect(order.slice(2, 5).toSorted()).toEqual(['a', 'b', 'c']);
    expect(order.slice(5, 8).toSorted()).toEqual(['a', 'b', 'c']);
    expect(order[8]).toBe('backfill');
  });

  it('are not held up by one that waits for another bucket', async () => {
    const { clock, limiter, order, wait } = openTurns();
    limiter.pause([realm('paused')], 60_000);
    void wait('paused', [app, realm('paused')], { priority: 'interactive' });
    void wait('free', [app, realm('free')], { priority: 'backfill' });
    await clock.advance(0);
    expect(order).toEqual(['free']);
    await clock.advance(60_000);
    expect(order).toEqual(['free', 'paused']);
  });

  it('never leave a lower priority standing, whichever line it stands in', async () => {
    const { clock, order, wait } = openTurns();
    void wait('first', [app]);
    void wait('backfill', [app, realm('b')], { priority: 'backfill' });
    for (let i = 0; i < 100; i++)
      void wait('interactive', [app, realm(`r${i % 3}`)], { priority: 'interactive' });
    await clock.advance(103_000);
    expect(order.indexOf('backfill')).toBeLessThanOrEqual(1 + patience[3]);
  });

  it('keep a line that fills again just before its planned look', async () => {
    const { clock, turns, wait } = openTurns();
    const pair = { ...app, limit: 2 };
    clock.timer(1_000, () => {
      for (let i = 0; i < 4; i++) void wait('late', [pair]);
    });
    for (let i = 0; i < 3; i++) void wait('early', [pair]);
    await clock.advance(20_000);
    expect(turns.queued([pair])).toBe(0);
  });
});

describe('a refusal', () => {
  it('takes nothing, and lets the next one have the turn', async () => {
    const { clock, limiter, order, wait } = openTurns();
    void wait('first', [app]);
    let open = true;
    const refusal = () => (open ? undefined : new Error('closed'));
    void wait('refused', [app], { priority: 'interactive', refusal });
    void wait('next', [app], { priority: 'backfill' });
    open = false;
    await clock.advance(1_006);
    expect(order).toEqual(['first', 'refused: closed', 'next']);
    expect(limiter.view([app])?.remaining).toBe(0);
  });

  it('reaches all who are refused by now when they are checked again', async () => {
    const { clock, turns, order, wait } = openTurns();
    let open = true;
    const refusal = () => (open ? undefined : new Error('closed'));
    void wait('first', [app]);
    for (let i = 0; i < 3; i++) void wait('refused', [app], { refusal, who: `c${i}` });
    void wait('stays', [app]);
    open = false;
    turns.recheck();
    await clock.advance(0);
    expect(order).toEqual(['first', 'refused: closed', 'refused: closed', 'refused: closed']);
    expect(turns.queued([app])).toBe(1);
  });
});

describe('an estimate', () => {
  it('counts those who would surely go before', () => {
    const { turns, wait } = openTurns();
    for (let i = 0; i < 11; i++) void wait('', [app], { priority: 'backfill', who: 'a' });
    const heldMs = 1_005.2;
    expect(turns.estimateMs([app], 0, 'b')).toBeCloseTo(heldMs, 1);
    expect(turns.estimateMs([app], 3, 'a')).toBeCloseTo(11 * heldMs, 1);
    // The others of a long queue come later in the round than the first call of somebody new.
    expect(turns.estimateMs([app], 3, 'b')).toBeCloseTo(2 * heldMs, 1);
  });

  it('is never longer than the wait turns out to be', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(
            fc.integer({ min: 0, max: 300 }),
            fc.constantFrom(...priorities),
            fc.constantFrom('a', 'b', 'c'),
          ),
          {
            minLength: 1,
            maxLength: 40,
          },
        ),
        fc.integer({ min: 1, max: 6 }),
        async (calls, limit) => {
          const { clock, turns, wait } = openTurns();
          const bucket = { ...app, limit };
          for (const [gap, priority, who] of calls) {
            void wait('', [bucket], { priority, who });
            await clock.advance(gap);
          }
          const estimateMs = turns.estimateMs([bucket], 2, 'b');
          const since = clock.monotonic();
          let waitedMs = -1;
          void stand(turns, [bucket], { priority: 'poll', who: 'b' }).then(
            () => (waitedMs = clock.monotonic() - since),
          );
          await clock.advance(100_000);
          expect(waitedMs).toBeGreaterThanOrEqual(estimateMs - 0.001);
        },
      ),
      { numRuns: 60, seed: 20261123 },
    );
  });
});
