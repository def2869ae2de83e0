import { describe, expect, it } from 'vitest';
import { noCalls } from '../../src/calls/budgetRows.ts';
import type { News } from '../../src/calls/leases.ts';
import type { Bucket } from '../../src/calls/window.ts';
import { asker, me, openLeases } from './leasing.ts';

// What an exchange tells the rows, and by which statements. All times are milliseconds since the test began.

const bucket = (key: string): Bucket => ({ key, limit: 10, windowMs: 1_000 });
const ten = bucket('ten');
const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(bucket) as [Bucket, Bucket, Bucket, Bucket];
const batch = `${me}.1`;

describe('the row of a bucket', () => {
  it.each<{ title: string; reports: News['reports']; afterMs?: number; row: object }>([
    {
      title: 'has the calls that arrived, and still leases the others',
      reports: [{ batch, arrivedAt: 50, late: false }],
      row: { arrived: [[50, 1]], leased: { [batch]: [2, 600] }, paceMs: 300 },
    },
    {
      title: 'takes back the pace of a call that was not made',
      reports: [{ batch, arrivedAt: undefined, late: false }],
      row: { arrived: [], leased: { [batch]: [2, 600] }, paceMs: 200 },
    },
    {
      title: 'counts no call twice that arrived late by our clock but not by the row',
      reports: [{ batch, arrivedAt: 650, late: true }],
      row: { arrived: [[650, 1]], leased: { [batch]: [2, 600] } },
    },
    {
      title: 'counts a call anew that arrived after its lease',
      reports: [{ batch: 'over', arrivedAt: 50, late: true }],
      // It leaves a window of theirs later, by a clock that is a thousandth slower, and 10 ms.
      row: { arrived: [[56, 1]], leased: { [batch]: [3, 600] } },
    },
    {
      title: 'has counted a call before whose lease is over',
      reports: [{ batch: 'over', arrivedAt: 50, late: false }],
      row: { arrived: [], leased: { [batch]: [3, 600] } },
    },
  ])('$title', async ({ reports, row: expected }) => {
    const { exchange, news, row, sent } = await openLeases();
    await exchange([asker([ten], 3)]);
    sent();
    expect(await exchange([], [news(ten, { reports })])).toEqual({ served: [], untold: [] });
    // Who only tells has asked no less.
    expect(row('ten')).toMatchObject({ version: 3, asked: { [me]: [0, 9] }, ...expected });
    expect(sent()).toEqual(['exchange ten']);
  });

  it('forgets who asked long ago, when it is only told', async () => {
    const { exchange, news, row, put } = await openLeases();
    put('ten', { asked: { old: [-1_500, 0], a: [-1_499, 3], [me]: [-1, 4] } });
    await exchange([], [news(ten, {})]);
    expect(row('ten')).toMatchObject({ leased: {}, asked: { a: [-1_499, 3], [me]: [-1, 4] } });
  });

  it('is paused for all, who are told at once, and kept until that is over', async () => {
    const { exchange, news, row, sent, budgets } = await openLeases();
    const own = asker([ten], 3);
    await exchange([own], [news(ten, { pausedUntil: 30_000 }), news(a, {})]);
    expect(sent()).toEqual(['open ten a', 'exchange ten a loud ten']);
    expect(own).toMatchObject({ grants: [] });
    expect(row('ten')).toMatchObject({ pausedMs: 30_000, freeAtMs: 30_000, leased: {} });
    expect(row('a')).toMatchObject({ pausedMs: 'never', freeAtMs: 2_000 });
    expect(budgets.pausedMs([ten])).toBe(30_000);
    expect(own.nextAskAt).toBeGreaterThan(0);
  });

  it('learns how few are left, and is kept until they are more', async () => {
    const { exchange, news, row, budgets } = await openLeases();
    await exchange([asker([ten], 2)]);
    await exchange(
      [],
      [
        news(ten, {
          learnt: [
            { remaining: 5, leavesAt: 9_000 },
            { remaining: 8, leavesAt: 9_500 },
          ],
        }),
      ],
    );
    // Leaving at 9,000, they would have arrived a window before.
    expect(row('ten')).toMatchObject({ arrived: [[7_995, 3]], leased: { [batch]: [2, 600] } });
    expect(budgets.view([ten], 0)?.remaining).toBe(5);
    const other = await openLeases();
    await other.exchange([], [other.news(ten, { learnt: [{ remaining: 4, leavesAt: 9_000 }] })]);
    expect(other.row('ten').freeAtMs).toBe(9_000);
  });
});

describe('statements', () => {
  it('are one for what is known, whatever happens to it', async () => {
    const { exchange, sent, clock } = await openLeases();
    await exchange([asker([ten], 1)]);
    await exchange([asker([ten], 1)]);
    expect(sent()).toEqual(['open ten', 'exchange ten', 'exchange ten']);
    // After 10 s the clock of the rows may have been stepped.
    await clock.advance(10_000);
    await exchange([asker([ten], 1)]);
    expect(sent()).toEqual(['exchange ten']);
    await clock.advance(10_001);
    await exchange([asker([ten], 1)]);
    expect(sent()).toEqual(['open ten', 'exchange ten']);
  });

  it('write rows together that belong to the same call, and all others by themselves', async () => {
    const { exchange, sent, news } = await openLeases();
    const askers = [asker([a], 1), asker([b], 1), asker([c], 1), asker([a, b], 1)];
    const { served } = await exchange(askers, [news(d, {}), news(c, {})]);
    expect(new Set(served)).toEqual(new Set(askers));
    expect(sent()).toEqual(['open a b c d', 'exchange a+b c d']);
    for (const one of askers) expect(one.grants).toHaveLength(1);
  });

  it('are repeated at once with the rows as they are now, for those only that another wrote', async () => {
    const { exchange, sent, stored, row, put } = await openLeases();
    const [one, two] = [asker([a], 10), asker([b], 10)];
    await exchange([asker([a], 1), asker([b], 1)]);
    sent();
    put('a', { paceMs: 300 });
    const { served, untold } = await exchange([one, two]);
    expect(sent()).toEqual(['exchange a b', 'exchange a']);
    expect([served, untold]).toEqual([[two, one], []]);
    expect(row('a').leased).toEqual({ [`${me}.5`]: [5, 1_100] });
    expect(stored.get('b')!.version).toBe(3);
  });

  it('make a row again that has gone', async () => {
    const { exchange, sent, stored } = await openLeases();
    await exchange([asker([a], 1)]);
    stored.clear();
    sent();
    const own = asker([a], 1);
    await exchange([own]);
    expect(sent()).toEqual(['exchange a', 'open a', 'exchange a']);
    expect(own.grants).toHaveLength(1);
  });

  it('leave out what another is making, until it is there', async () => {
    const { exchange, sent, rows, line } = await openLeases();
    const opened: (readonly string[])[] = [];
    rows.open = async (keys) => {
      opened.push(keys);
      const answer = await line.open(keys);
      return opened.length > 1 ? answer : { ...answer, rows: answer.rows.filter(({ key }) => key !== 'b') };
    };
    const [one, two] = [asker([a, b], 1), asker([c], 1)];
    const { served } = await exchange([one, two]);
    expect(served).toEqual([two, one]);
    expect(opened).toEqual([['a', 'b', 'c'], ['b']]);
    expect(sent()).toEqual(['exchange c', 'exchange a+b']);
  });

  it('are given up after twelve, at moments that nobody else is likely to choose', async () => {
    const { exchange, rows, news, sent, clock, now } = await openLeases();
    const moments: number[] = [];
    rows.exchange = (groups) => {
      moments.push(now());
      return Promise.resolve({ written: groups.map(() => false), rows: [], nowMs: clock.now() });
    };
    const [paused, told] = [news(a, { pausedUntil: 500 }), news(c, {})];
    const own = asker([a, b], 1);
    expect(await exchange([own], [paused, told], { withinMs: 1_000 })).toEqual({
      served: [],
      untold: [paused, told],
    });
    expect(moments).toEqual([0, 0, 6, 14, 24, 36, 50, 66, 84, 104, 126, 150]);
    // A row that was not among the answers may have gone.
    expect(sent()).toHaveLength(12);
    expect(own).toMatchObject({ grants: [], nextAskAt: -Infinity });
  });

  it('are not sent after the signal', async () => {
    const { exchange, sent, rows, line } = await openLeases();
    const stopped = new Error('stopped');
    const silence = AbortSignal.abort(stopped);
    await expect(exchange([asker([a], 1)], [], { signal: silence })).rejects.toBe(stopped);
    expect(sent()).toEqual([]);
    const stopping = new AbortController();
    rows.open = (keys) => {
      stopping.abort(stopped);
      return line.open(keys);
    };
    await expect(exchange([asker([a], 1)], [], stopping)).rejects.toBe(stopped);
    expect(sent()).toEqual([]);
  });

  it('pass on why the rows cannot be reached', async () => {
    const { exchange, rows } = await openLeases();
    const lost = new Error('lost');
    rows.exchange = () => Promise.reject(lost);
    await expect(exchange([asker([a], 1)])).rejects.toBe(lost);
  });
});

describe('who only looks', () => {
  it('sees the rows that there are, and full budgets for the others', async () => {
    const { leases, budgets, sent, put } = await openLeases();
    put('a', { arrived: [], paceMs: 0 });
    await leases.read([a, b]);
    expect(sent()).toEqual(['read a b']);
    expect(budgets.view([a, b], 0)?.remaining).toBe(10);
  });

  it('sees what others used and how long they paused, by our clock', async () => {
    const { leases, budgets, exchange, news, stored, clock, at } = await openLeases(10);
    await exchange([asker([a], 3)], [news(a, { pausedUntil: 1_000 })], { withinMs: 20 });
    const other = await openLeases(10);
    other.stored.set('a', stored.get('a')!);
    const looking = other.leases.read([a]);
    await other.clock.advance(10);
    await looking;
    // Told and read by 10 ms of line each: no pause is taken for shorter.
    expect(other.budgets.pausedMs([a])).toBeCloseTo(1_000, 0);
    expect(budgets.pausedMs([a])).toBeCloseTo(990, 0);
    expect(clock.monotonic()).toBe(at(20));
    // A row that has gone is free.
    stored.clear();
    const again = leases.read([a]);
    await clock.advance(10);
    await again;
    expect(budgets.pausedMs([a])).toBe(0);
  });
});

describe('rows that are known', () => {
  it.each([
    { count: 10_000, opened: 1 },
    { count: 10_001, opened: 2 },
  ])('are forgotten when they are too many: $count', async ({ count, opened }) => {
    const { exchange, news, rows, clock } = await openLeases();
    const blank = (key: string) => ({ key, version: 1, state: noCalls });
    let opens = 0;
    // One answer in place of ten thousand calls.
    rows.open = () => {
      opens++;
      const others = Array.from({ length: count - 1 }, (_, i) => blank(`${i}`));
      return Promise.resolve({ rows: [blank('a'), ...others], nowMs: clock.now() });
    };
    rows.exchange = (groups) =>
      Promise.resolve({ written: groups.map(() => true), rows: [], nowMs: clock.now() });
    await exchange([], [news(a, {})]);
    await exchange([], [news(a, {})]);
    expect(opens).toBe(opened);
  });
});
