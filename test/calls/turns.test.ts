import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { patience, priorities } from '../../src/calls/fairQueue.ts';
import { createRateLimiter, type WaitingCalls } from '../../src/calls/rateLimit.ts';
import { createTurns } from '../../src/calls/turns.ts';
import type { Bucket } from '../../src/calls/window.ts';
import { manualClock } from '../support/manualClock.ts';
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

describe('a turn without waiting', () => {
  it('is anybody’s where nothing is limited', () => {
    const slot = openTurns().turns.now([], 0)!;
    expect(slot.usable()).toBe(true);
    for (const end of [slot.sent, slot.ended, slot.unused]) expect(end()).toBeUndefined();
  });

  it('is nobody’s while somebody stands there, and theirs who come when all are served', async () => {
    const { clock, limiter, turns, wait } = openTurns();
    const wide = { ...app, limit: 10 };
    limiter.pause([realm('paused')], 3_000);
    void wait('x', [wide, realm('paused')]);
    expect(turns.now([wide], 0)).toBeUndefined();
    expect(turns.now([realm('other')], 0)).toBeDefined();
    await clock.advance(3_000);
    expect(turns.now([wide], 0)).toBeDefined();
  });

  it('regains nothing of a pause that nobody waited in', async () => {
    const { clock, turns } = openTurns();
    const four = { ...app, limit: 4 };
    turns.now([four], 0)!.ended();
    await clock.advance(300);
    turns.now([four], 0)!.ended();
    await clock.advance(249);
    expect(turns.now([four], 0)).toBeUndefined();
    await clock.advance(1);
    expect(turns.now([four], 0)).toBeDefined();
  });
});

describe('who waits', () => {
  it('regains what a busy machine’s timers lose', async () => {
    let seed = 0;
    const { clock, turns } = openTurns(undefined, () => ((seed = (seed * 73 + 19) % 101) * 60) / 101);
    const four = { ...app, limit: 4 };
    let served = 0;
    for (let i = 0; i < 300; i++)
      void stand(turns, [four], { priority: 'interactive' }).then((slot) => {
        served++;
        slot.ended();
      });
    await clock.advance(60_000);
    expect(served).toBeGreaterThanOrEqual(0.95 * 240);
  });

  it('goes at once when that is urgent, though others keep to the pace', async () => {
    const { clock, order, wait } = openTurns();
    const hundred = { ...app, limit: 100 };
    for (let i = 0; i < 30; i++) void wait('backfill', [hundred], { priority: 'backfill' });
    await clock.advance(0);
    expect(order.length).toBeLessThan(30);
    void wait('urgent', [hundred], { priority: 'interactive' });
    await clock.advance(0);
    expect(order.at(-1)).toBe('urgent');
  });

  it('is looked at earlier when somebody urgent comes who has to wait too', async () => {
    const { clock, turns, order, wait } = openTurns();
    const ten = { ...app, limit: 10 };
    for (let i = 0; i < 3; i++) turns.now([ten], 0)!.ended();
    expect(turns.now([ten], 0)).toBeUndefined();
    void wait('backfill', [ten], { priority: 'backfill' });
    void wait('urgent', [ten], { priority: 'interactive' });
    await clock.advance(99);
    expect(order).toEqual([]);
    await clock.advance(1);
    expect(order).toEqual(['urgent']);
  });

  it('goes in the moment in which a call under way ends, or was not made, in every line that is near', async () => {
    const { clock, turns, wait, order } = openTurns();
    const cap: Bucket = { key: 'cap', limit: 2, windowMs: 0 };
    const [one, two] = [turns.now([cap, realm('c')], 0)!, turns.now([cap], 0)!];
    const leaving = new AbortController();
    void wait('gives up', [cap], { signal: leaving.signal });
    for (const name of ['a', 'b']) void stand(turns, [cap, realm(name)]).then(() => order.push(name));
    leaving.abort(new Error('left'));
    const settled = async () => {
      for (let i = 0; i < 5; i++) await Promise.resolve();
      return order.length;
    };
    expect(await settled()).toBe(1);
    one.ended();
    expect(await settled()).toBe(2);
    two.unused();
    expect(await settled()).toBe(3);
    expect(clock.monotonic()).toBe(0);
    expect(order.toSorted()).toEqual(['a', 'b', 'gives up: left']);
  });

  it('is known to the limiter: how many of just these buckets, how urgent, and when one more comes', () => {
    const clock = manualClock();
    const limiter = createRateLimiter(clock);
    const told: string[] = [];
    let asked: WaitingCalls | undefined;
    const listening = {
      ...limiter,
      joined: (buckets: readonly Bucket[]) => void told.push(buckets.map(({ key }) => key).join()),
      serve(queue: WaitingCalls) {
        asked = queue;
        limiter.serve(queue);
      },
    };
    const turns = createTurns(clock, listening, { perBucket: 100, total: 100 });
    limiter.pause([app], 1_000);
    for (let i = 0; i < 3; i++) void stand(turns, [app, realm('a')], { priority: 'backfill' });
    expect(asked!.waiting([{ ...app }, realm('a')])).toEqual({ calls: 3, level: 3 });
    expect(turns.depth().get('x')).toEqual([0, 0, 0, 3]);
    void stand(turns, [app, realm('a')], { priority: 'webhook' });
    expect(asked!.waiting([app, realm('a')])).toEqual({ calls: 4, level: 1 });
    expect(asked!.waiting([app])).toEqual({ calls: 0, level: 0 });
    expect(turns.depth().get('x')).toEqual([0, 1, 0, 3]);
    // Not for the first of a line, nor for one that is more urgent than all before: the limiter is asked for those.
    expect(told).toEqual(['app,a', 'app,a']);
  });
});

describe('lines that share a bucket', () => {
  it('are told apart by every bucket, whatever the keys are', async () => {
    const { clock, limiter, order, wait } = openTurns();
    limiter.pause([realm('bc')], 60_000);
    void wait('paused', [realm('a'), realm('bc')]);
    void wait('free', [realm('ab'), realm('c')]);
    await clock.advance(0);
    expect(order).toEqual(['free']);
  });

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

  it.each([
    ['first', (own: Bucket) => [app, own]],
    ['last', (own: Bucket) => [own, app]],
  ])(
    'never leave a lower priority standing, whichever line it stands in, the shared bucket %s',
    async (_, of) => {
      const { clock, order, wait } = openTurns();
      void wait('first', [app]);
      void wait('backfill', of(realm('b')), { priority: 'backfill' });
      for (let i = 0; i < 100; i++)
        void wait('interactive', of(realm(`r${i % 3}`)), { priority: 'interactive' });
      await clock.advance(103_000);
      expect(order.indexOf('backfill')).toBeLessThanOrEqual(1 + patience[3]);
    },
  );

  it('leave no backfill standing beside one that urgent calls fill endlessly and run ahead of the pace', async () => {
    const { clock, order, wait } = openTurns();
    const wide = { ...app, limit: 100 };
    const urgent = () =>
      void wait('urgent', [wide, realm('a', 1_000)], { priority: 'interactive' }).then(urgent);
    for (let i = 0; i < 50; i++) urgent();
    for (let i = 0; i < 3; i++) void wait('backfill', [wide, realm('b', 1_000)], { priority: 'backfill' });
    await clock.advance(5_000);
    const turns = order.flatMap((name, i) => (name === 'backfill' ? [i] : []));
    expect(turns).toHaveLength(3);
    // The quarter that goes at once goes before anybody waits.
    expect(turns[0]).toBeLessThanOrEqual(25 + patience[3]);
    expect(turns[1]! - turns[0]!).toBe(1 + patience[3]);
    expect(turns[2]! - turns[1]!).toBe(1 + patience[3]);
  });

  it('are not passed by one that forms anew each time it has been served', async () => {
    const { clock, order, wait } = openTurns();
    for (let i = 0; i < 20; i++) void wait('patient', [app, realm('a')]);
    const again = () => void wait('again', [app, realm('b')]).then(again);
    again();
    await clock.advance(20_000);
    const patient = order.filter((name) => name === 'patient').length;
    expect(order.length).toBeGreaterThanOrEqual(19);
    expect(Math.abs(order.length - 2 * patient)).toBeLessThanOrEqual(3);
  });

  it('share alike with 300 others when one is 3,000 deep', async () => {
    const { clock, order, wait } = openTurns();
    const shared = { ...app, limit: 500 };
    for (let i = 0; i < 3_000; i++) void wait('deep', [shared, realm('deep', 1_000)], { who: 'deep' });
    for (let i = 0; i < 300; i++) void wait(`other ${i}`, [shared, realm(`r${i}`)], { who: `other ${i}` });
    await clock.advance(2.2 * (300 / shared.limit) * 1_000);
    expect(new Set(order).size).toBe(301);
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

describe('the wait behind everybody', () => {
  it('is as long as they all take, whoever they are for', () => {
    const { turns, wait } = openTurns();
    for (let i = 0; i < 91; i++) void wait('', [app], { who: `c${i % 3}` });
    expect(turns.backlogMs([app])).toBeCloseTo(91 * 1_005.2, 0);
    expect(turns.backlogMs([realm('other')])).toBe(0);
  });
});

describe('an estimate', () => {
  const heldMs = 1_005.2;

  it('counts those who would surely go before', () => {
    const { turns, wait } = openTurns();
    for (let i = 0; i < 11; i++) void wait('', [app], { priority: 'backfill', who: 'a' });
    expect(turns.estimateMs([app], 0, 'b')).toBeCloseTo(heldMs, 1);
    expect(turns.estimateMs([app], 3, 'a')).toBeCloseTo(11 * heldMs, 1);
    // The others of a long queue come later in the round than the first call of somebody new.
    expect(turns.estimateMs([app], 3, 'b')).toBeCloseTo(2 * heldMs, 1);
  });

  it('counts all in a line of several buckets', () => {
    const { turns, wait } = openTurns();
    for (let i = 0; i < 8; i++) void wait('', [app, realm('a')], { priority: 'interactive' });
    expect(turns.estimateMs([app, realm('a')], 3, 'b')).toBeCloseTo(8 * heldMs, 1);
  });

  it('counts other lines whose calls wait for nothing else', () => {
    const { turns, wait } = openTurns();
    for (let i = 0; i < 8; i++) void wait('', [app], { priority: 'interactive' });
    expect(turns.estimateMs([app, realm('a')], 3, 'b')).toBeCloseTo(8 * heldMs, 1);
    // Of its own kind, the next one of each other line.
    expect(turns.estimateMs([app, realm('a')], 0, 'b')).toBeCloseTo(2 * heldMs, 1);
  });

  it('does not count on those that may be held up by something else', () => {
    const { turns, wait } = openTurns();
    void wait('', [app]);
    for (let i = 0; i < 8; i++) void wait('', [app, realm('b')], { priority: 'interactive' });
    expect(turns.estimateMs([app, realm('a')], 3, 'b')).toBeCloseTo(heldMs, 1);
  });

  it('knows that more urgent calls pass a lower one only so often', async () => {
    const { clock, turns, wait } = openTurns();
    const ten = { ...app, limit: 10 };
    for (let i = 0; i < 1_000; i++) void wait('', [ten], { priority: 'interactive' });
    const estimateMs = turns.estimateMs([ten], 3, 'b');
    let waitedMs = -1;
    void stand(turns, [ten], { priority: 'backfill', who: 'b' }).then(() => (waitedMs = clock.monotonic()));
    await clock.advance(10_000);
    expect(waitedMs).toBeGreaterThan(0);
    expect(estimateMs).toBeLessThanOrEqual(waitedMs);
    expect(estimateMs).toBeGreaterThan(0.8 * waitedMs);
  });

  it('is never longer than the wait turns out to be', async () => {
    const line = fc.nat(3);
    const priority = fc.constantFrom(...priorities);
    const arrival = fc.record({
      calls: fc.integer({ min: 1, max: 30 }),
      line,
      priority: fc.oneof(priority, fc.constant('interactive' as const)),
      who: fc.constantFrom('a', 'b', 'c'),
      answerMs: fc.constantFrom(0, 30, 700, 2_000),
      thenMs: fc.constantFrom(0, 0, 0, 40, 300),
    });
    const limit = fc.integer({ min: 1, max: 12 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(arrival, { minLength: 1, maxLength: 14 }),
        fc.record({ shared: limit, own: limit, line, priority }),
        async (arrivals, asked) => {
          const { clock, turns } = openTurns();
          const shared = { ...app, limit: asked.shared };
          const own: Bucket = { key: 'own', limit: asked.own, windowMs: 500 };
          const cap: Bucket = { key: 'cap', limit: 3, windowMs: 0 };
          const lines = [[shared], [shared, own], [shared, cap], [shared, own, cap]];
          for (const one of arrivals) {
            for (let i = 0; i < one.calls; i++)
              void stand(turns, lines[one.line]!, one).then(async (slot) => {
                slot.sent();
                await clock.sleep(one.answerMs);
                slot.ended();
              });
            await clock.advance(one.thenMs);
          }
          const buckets = lines[asked.line]!;
          const estimateMs = turns.estimateMs(buckets, priorities.indexOf(asked.priority), 'b');
          const since = clock.monotonic();
          let waitedMs = -1;
          void stand(turns, buckets, { priority: asked.priority, who: 'b' }).then(
            () => (waitedMs = clock.monotonic() - since),
          );
          for (let i = 0; waitedMs < 0 && i < 200; i++) await clock.advance(5_000);
          expect(waitedMs).toBeGreaterThanOrEqual(estimateMs - 0.001);
        },
      ),
      { numRuns: 200, seed: 20261123 },
    );
  });
});

describe('all of a limit', () => {
  it.each([
    ['minute', [{ key: 'minute', limit: 500, windowMs: 60_000 }], 125],
    [
      'second, minute and cap',
      [
        { key: 'second', limit: 10, windowMs: 1_000 },
        { key: 'minute', limit: 500, windowMs: 60_000 },
        { key: 'cap', limit: 10, windowMs: 0 },
      ],
      100,
    ],
  ] as const)(
    'is used by backfill after a burst of urgent calls, with others urgent between: %s',
    async (_, buckets, burst) => {
      const { clock, turns } = openTurns();
      const served = { interactive: 0, backfill: 0 };
      const go = (priority: keyof typeof served) =>
        void stand(turns, buckets, { priority }).then(async (slot) => {
          slot.sent();
          served[priority]++;
          await clock.sleep(50);
          slot.ended();
        });
      for (let i = 0; i < burst; i++) go('interactive');
      for (let i = 0; i < 1_200; i++) go('backfill');
      for (let second = 0; second < 120; second++) {
        for (let i = 0; i < 2; i++) go('interactive');
        await clock.advance(1_000);
      }
      expect(served.interactive).toBeGreaterThanOrEqual(burst + 235);
      expect(served.interactive + served.backfill).toBeGreaterThanOrEqual(0.97 * 1_000);
    },
  );
});

describe('a call that leaves', () => {
  it('costs nobody anything, wherever it stands and however many do: everybody who stays is served, once', async () => {
    const buckets: Bucket[] = [
      { key: 'app', limit: 20, windowMs: 1_000 },
      { key: 'account', limit: 7, windowMs: 500 },
      { key: 'cap', limit: 2, windowMs: 0 },
    ];
    const arrival = fc.record({
      of: fc.subarray(buckets, { minLength: 1 }),
      priority: fc.constantFrom(...priorities),
      who: fc.constantFrom('a', 'b', 'c'),
      calls: fc.integer({ min: 1, max: 12 }),
      afterMs: fc.constantFrom(0, 0, 30, 500),
      leavesAfterMs: fc.option(fc.integer({ min: 0, max: 900 }), { nil: undefined }),
      refusedAfterMs: fc.option(fc.integer({ min: 0, max: 900 }), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(arrival, { minLength: 1, maxLength: 12 }), async (arrivals) => {
        const { clock, limiter, turns } = openTurns();
        const ends: { calls: number }[] = [];
        for (const one of arrivals) {
          await clock.advance(one.afterMs);
          const { of, priority, who, leavesAfterMs, refusedAfterMs } = one;
          const refusedAt = clock.monotonic() + (refusedAfterMs ?? Infinity);
          for (let i = 0; i < one.calls; i++) {
            const end = { calls: 0 };
            ends.push(end);
            const place = turns.wait(
              {
                integration: 'x',
                buckets: of,
                refusal: () => (clock.monotonic() >= refusedAt ? new Error('refused') : undefined),
                go(slot) {
                  end.calls++;
                  slot.sent();
                  clock.timer(20, () => slot.ended());
                },
                end: () => void end.calls++,
              },
              priorities.indexOf(priority),
              who,
            );
            if (leavesAfterMs !== undefined)
              clock.timer(leavesAfterMs, () => {
                if (place.line) end.calls++;
                turns.leave(place);
                turns.leave(place);
              });
          }
          turns.recheck();
        }
        await clock.advance(30_000);
        expect(ends.map(({ calls }) => calls)).toEqual(ends.map(() => 1));
        expect([...turns.depth().values()].flat()).toEqual([0, 0, 0, 0]);
        expect(limiter.view(buckets)).toMatchObject({ remaining: 7, resetsAtMs: undefined });
        expect(clock.sleeping()).toBe(0);
      }),
      { numRuns: 100, seed: 20261123 },
    );
  });
});
