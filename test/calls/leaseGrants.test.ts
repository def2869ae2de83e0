import { describe, expect, it } from 'vitest';
import { horizonMs, type Asker } from '../../src/calls/leases.ts';
import type { Bucket } from '../../src/calls/window.ts';
import { asker, me, openLeases } from './leasing.ts';

// What one exchange grants, and when it asks again. All times are milliseconds since the test began.

const ten: Bucket = { key: 'ten', limit: 10, windowMs: 1_000 };
/** Nothing of it may be ahead of the pace. */
const four: Bucket = { key: 'four', limit: 4, windowMs: 1_000 };
const cap: Bucket = { key: 'cap', limit: 2, windowMs: 0 };
const wide: Bucket = { key: 'wide', limit: 1_000, windowMs: 60_000 };

describe('the horizon', () => {
  it.each([
    { windows: [], ms: 1_000 },
    { windows: [60_000], ms: 1_000 },
    { windows: [2_000], ms: 1_000 },
    { windows: [100], ms: 50 },
    { windows: [0], ms: 200 },
    { windows: [60_000, 300, 1_000], ms: 150 },
    { windows: [0, 1_000], ms: 200 },
  ])('of windows $windows is $ms ms', ({ windows, ms }) => {
    expect(horizonMs(windows.map((windowMs) => ({ key: 'x', limit: 1, windowMs })))).toBe(ms);
  });
});

describe('an exchange', () => {
  it('leases what comes free within the horizon, each call from when it may go', async () => {
    const { exchange, spans, asksAgainAt, row, budgets } = await openLeases();
    const urgent = asker([ten], 10);
    expect(await exchange([urgent])).toEqual({ served: [urgent], untold: [] });
    expect(spans(urgent)).toEqual([
      [0, 500],
      [0, 500],
      [0, 500],
      [100, 600],
      [200, 700],
      [300, 800],
    ]);
    expect(new Set(urgent.grants.map(({ batch }) => batch))).toEqual(new Set([`${me}.1`]));
    expect(row('ten')).toEqual({
      version: 2,
      arrived: [],
      leased: { [`${me}.1`]: [6, 900] },
      ...{ paceMs: 600, aheadMs: 300, pausedMs: 'never', atMs: 0 },
      asked: { [me]: [0, 0] },
      freeAtMs: 2_000,
    });
    // An eighth of the horizon before the last one goes.
    expect(asksAgainAt(urgent)).toBe(237.5);
    expect(budgets.view([ten], 0)?.remaining).toBe(4);
  });

  it('lets who is not urgent keep to the pace', async () => {
    const { exchange, dues, row } = await openLeases();
    const poll = asker([ten], 10, 2);
    await exchange([poll]);
    expect(dues(poll)).toEqual([0, 0, 100, 200, 300, 400]);
    expect(row('ten').asked).toEqual({ [me]: [0, 2] });
  });

  it.each([
    { level: 1, calls: 6 },
    { level: 2, calls: 5 },
  ])('counts for level $level, $calls calls by the horizon, what is ahead of the pace', async (one) => {
    const { exchange, dues, put } = await openLeases();
    put('ten', { paceMs: 200 });
    const own = asker([ten], 10, one.level);
    await exchange([own]);
    expect(dues(own)).toHaveLength(one.calls);
  });

  it('asks for no more than are waiting, and then again as soon as another waits', async () => {
    const { exchange, dues, asksAgainAt, row, now } = await openLeases();
    const own = asker([ten], 2);
    await exchange([own]);
    expect(dues(own)).toEqual([0, 0]);
    expect(asksAgainAt(own)).toBe(now());
    // He is nobody to give way to.
    expect(row('ten').asked).toEqual({ [me]: [0, 9] });
    own.waiting = 3;
    await exchange([own]);
    expect(dues(own)).toEqual([0, 0, 0]);
    expect(own.grants.map(({ batch }) => batch)).toEqual([`${me}.1`, `${me}.1`, `${me}.2`]);
    expect(row('ten').asked).toEqual({ [me]: [0, 9] });
    expect(asksAgainAt(own)).toBe(now());
  });

  it('grants nothing to who has enough', async () => {
    const { exchange, row } = await openLeases();
    expect(await exchange([asker([ten], 0)])).toEqual({ served: [], untold: [] });
    expect(row('ten')).toMatchObject({ leased: {}, paceMs: 'never', asked: { [me]: [0, 9] } });
  });

  it('knows of a delay that it may be the way there or back: calls are due late and end early', async () => {
    const { exchange, spans, row, budgets, news } = await openLeases(10);
    const own = asker([ten], 1);
    await exchange([own], [news(ten, { pausedUntil: 40 })], { withinMs: 20 });
    const [dueAt, lastAt] = spans(own)[0]!;
    expect(dueAt).toBeCloseTo(50, 1);
    expect(lastAt).toBeCloseTo(540, 1);
    expect(row('ten').atMs).toBeCloseTo(5, 1);
    expect(row('ten').pausedMs).toBeCloseTo(45, 1);
    expect(budgets.pausedMs([ten])).toBeCloseTo(30, 1);
  });
});

describe('a share', () => {
  it.each([
    { title: 'all, when nobody else asks', asked: {}, calls: 6 },
    { title: 'all beside own asking', asked: { [me]: [-10, 0] }, calls: 6 },
    { title: 'half beside one other', asked: { a: [-10, 0] }, calls: 3 },
    { title: 'half beside one less urgent', asked: { a: [-10, 1] }, calls: 3 },
    { title: 'half beside one other and own asking', asked: { a: [-10, 0], [me]: [-10, 0] }, calls: 3 },
    { title: 'a quarter, rounded up', asked: { a: [-10, 0], b: [-20, 4], c: [-30, 9] }, calls: 2 },
    { title: 'half, when the other asked three horizons ago', asked: { a: [-1_499, 0] }, calls: 3 },
    { title: 'all, when that is longer ago', asked: { a: [-1_500, 0] }, calls: 6 },
  ] as const)('is $title', async ({ asked, calls }) => {
    const { exchange, dues, put } = await openLeases();
    put('ten', { asked: asked as unknown as Record<string, [number, number]> });
    const own = asker([ten], 10);
    await exchange([own]);
    expect(dues(own)).toHaveLength(calls);
  });

  it.each([
    { theirs: 2, calls: 3 },
    { theirs: 1, calls: 1 },
  ])('of level 2 beside another of level $theirs is $calls calls', async ({ theirs, calls }) => {
    const { exchange, dues, put, row, asksAgainAt } = await openLeases();
    put('ten', { asked: { a: [-10, 9], b: [-100, theirs], old: [-1_600, 0] } });
    const own = asker([ten], 10, 2);
    await exchange([own]);
    expect(dues(own)).toHaveLength(calls === 1 ? 1 : 2);
    expect(row('ten').asked).toEqual({ a: [-10, 9], b: [-100, theirs], [me]: [0, 2] });
    // Who gives way asks when a horizon has passed.
    expect(asksAgainAt(own)).toBe(calls === 1 ? 500 : 300);
  });

  it('of who gives way in one of several buckets is one call', async () => {
    const { exchange, dues, put, asksAgainAt } = await openLeases();
    put('ten', { asked: { a: [-10, 0] } });
    const own = asker([ten, wide], 5, 3);
    own.grants.push({ dueAt: 0, lastAt: 0, batch: 'before' });
    await exchange([own]);
    expect(dues(own)).toHaveLength(2);
    expect(asksAgainAt(own)).toBe(500);
  });

  it('depends on the most urgent of those who ask for that bucket, and on no others', async () => {
    const rival = { asked: { a: [-10, 1] as [number, number] } };
    const { exchange, dues, put, asksAgainAt } = await openLeases();
    put('ten', rival);
    put('wide', rival);
    const [slow, quick] = [asker([ten, wide], 10, 3), asker([ten], 10, 0)];
    await exchange([slow, quick]);
    expect([dues(slow), dues(quick)]).toEqual([[0], [0, 0]]);
    expect([asksAgainAt(slow), asksAgainAt(quick)]).toEqual([500, 300]);
  });

  it('is one call at least, and may come only later', async () => {
    const { exchange, dues, put, asksAgainAt } = await openLeases();
    put('four', { paceMs: 500, asked: { a: [-10, 0], b: [-10, 0] } });
    const own = asker([four], 5);
    await exchange([own]);
    expect(dues(own)).toEqual([500]);
    expect(asksAgainAt(own)).toBe(437.5);
  });

  it.each([0, 1])('goes to the most urgent first, in whatever order they ask (%i)', async (first) => {
    const { exchange, dues } = await openLeases();
    const one: Bucket = { key: 'one', limit: 1, windowMs: 1_000 };
    const [slow, quick] = [asker([one], 1, 3), asker([one, wide], 1, 2)];
    const { served } = await exchange(first === 0 ? [slow, quick] : [quick, slow]);
    expect(served).toEqual([quick]);
    expect([dues(slow), dues(quick)]).toEqual([[], [0]]);
  });

  it('is dealt out in turn among those who ask here', async () => {
    const { exchange, dues, row } = await openLeases();
    const [one, two] = [asker([ten], 10), asker([ten, wide], 10)];
    await exchange([one, two]);
    expect([dues(one), dues(two)]).toEqual([
      [0, 100, 300],
      [0, 0, 200],
    ]);
    expect(row('wide').leased).toEqual({ [`${me}.1`]: [3, 800] });
  });

  it.each([
    { levels: [0, 3], waiting: [10, 1], level: 0 },
    { levels: [3, 0], waiting: [10, 1], level: 3 },
    { levels: [3, 0], waiting: [1, 10], level: 0 },
    { levels: [0, 3], waiting: [1, 1], level: 9 },
  ])(
    'is asked for as urgently as who still waits: $levels for $waiting gives $level',
    async ({ levels, waiting, level }) => {
      const { exchange, row, put } = await openLeases();
      // As urgent as before no longer.
      put('ten', { asked: { [me]: [-10, 0] } });
      await exchange([asker([ten], waiting[0]!, levels[0]), asker([ten, wide], waiting[1]!, levels[1])]);
      expect(row('ten').asked).toEqual({ [me]: [0, level] });
    },
  );

  it('is asked for with the calls counted that are at hand', async () => {
    const { exchange, row, put } = await openLeases();
    put('ten', { asked: { a: [-10, 0] } });
    const own = asker([ten], 3, 3);
    own.grants.push({ dueAt: 0, lastAt: 0, batch: 'before' });
    await exchange([own]);
    expect(own.grants).toHaveLength(2);
    expect(row('ten').asked[me]).toEqual([0, 3]);
    await exchange([own]);
    expect(row('ten').asked[me]).toEqual([0, 9]);
  });
});

describe('several buckets of a call', () => {
  it('are leased from together, each at its own pace, when the last of them has room', async () => {
    const { exchange, spans, row, asksAgainAt } = await openLeases();
    const own = asker([ten, four], 10);
    await exchange([own]);
    expect(spans(own)).toEqual([
      [0, 500],
      [250, 750],
      [500, 1_000],
    ]);
    expect(row('ten')).toMatchObject({ paceMs: 300, leased: { [`${me}.1`]: [3, 1_100] } });
    expect(row('four')).toMatchObject({ paceMs: 750, leased: { [`${me}.1`]: [3, 1_100] } });
    expect(asksAgainAt(own)).toBe(437.5);
  });

  it('stop at the one that is leased', async () => {
    const { exchange, dues } = await openLeases();
    const [narrow, both] = [asker([four], 10), asker([four, ten], 10)];
    await exchange([narrow]);
    await exchange([both]);
    expect(dues(both)).toEqual([]);
  });

  it('let calls under way count until the longest call is over', async () => {
    const { exchange, spans, row, asksAgainAt, clock } = await openLeases();
    const own = asker([cap, wide], 3);
    await exchange([own]);
    expect(spans(own)).toEqual([
      [0, 250],
      [0, 250],
    ]);
    expect(row('cap').leased).toEqual({ [`${me}.1`]: [2, 1_250] });
    expect(row('wide').leased).toEqual({ [`${me}.1`]: [2, 350] });
    expect(asksAgainAt(own)).toBe(10);
    // All is leased.
    await clock.advance(1_249);
    own.grants = [];
    await exchange([own]);
    expect([spans(own), asksAgainAt(own)]).toEqual([[], 1_299]);
    await clock.advance(1);
    await exchange([own]);
    expect(spans(own)).toHaveLength(2);
  });
});

describe('the pace of a queue', () => {
  it.each([
    { asked: {}, paceMs: 100 },
    { asked: { [me]: [-1_500, 0] }, paceMs: 100 },
    { asked: { [me]: [-1_499, 0] }, paceMs: 50 },
    { asked: { a: [-1_499, 0] }, paceMs: 50 },
  ])('catches up where $asked asked lately: $paceMs', async ({ asked, paceMs }) => {
    const { exchange, put, row } = await openLeases();
    put('ten', { paceMs: -50, asked: asked as unknown as Record<string, [number, number]> });
    await exchange([asker([ten], 1)]);
    expect(row('ten').paceMs).toBe(paceMs);
  });
});

describe('who got less than he asked for', () => {
  const rival = { asked: { a: [-10, 0] as [number, number] } };
  it.each([
    { title: 'a horizon before there is more', bucket: four, state: { paceMs: 2_000 }, againAt: 1_500 },
    { title: 'not at once', bucket: four, state: { paceMs: 510 }, againAt: 25 },
    { title: 'later beside others', bucket: four, state: { paceMs: 510, ...rival }, againAt: 300 },
    { title: 'soon after what was due at once', bucket: ten, state: rival, againAt: 300 },
    { title: 'later where all is leased', bucket: cap, state: full(), againAt: 50 },
    { title: 'and beside others even later', bucket: cap, state: { ...full(), ...rival }, againAt: 120 },
  ])('asks again $title', async ({ bucket, state, againAt }) => {
    const { exchange, put, asksAgainAt } = await openLeases();
    put(bucket.key, state);
    const own = asker([bucket], 50);
    await exchange([own]);
    expect(asksAgainAt(own)).toBe(againAt);
  });

  it('asks again by what comes, not by what he still has', async () => {
    const { exchange, put, asksAgainAt } = await openLeases();
    put('four', { paceMs: 2_000 });
    const own = asker([four], 3);
    own.grants.push({ dueAt: 0, lastAt: 0, batch: 'before' });
    await exchange([own]);
    expect(asksAgainAt(own)).toBe(1_500);
  });

  it('is as patient as chance will have it, so that not all ask together', async () => {
    const { exchange, put, asksAgainAt, clock } = await openLeases();
    clock.random = () => 0;
    put('four', { paceMs: 510 });
    const own = asker([four], 3);
    await exchange([own]);
    expect(asksAgainAt(own)).toBe(22.5);
  });

  it('asks later when a rival has asked for one of his buckets', async () => {
    const { exchange, put, asksAgainAt } = await openLeases();
    put('ten', rival);
    const own: Asker = asker([wide, ten], 50);
    await exchange([own]);
    expect(asksAgainAt(own)).toBe(300);
  });
});

/** Both calls of `cap` are under way, for as long as a test takes. */
function full() {
  return { leased: { theirs: [2, Number.MAX_SAFE_INTEGER] as [number, number] } };
}
