import { describe, expect, it } from 'vitest';
import type { BudgetRows } from '../../src/calls/budgetRows.ts';
import { createCaller } from '../../src/calls/caller.ts';
import { createSharedRateLimiter, type SharedRateLimiter } from '../../src/calls/sharedRateLimit.ts';
import { createTurns } from '../../src/calls/turns.ts';
import type { Bucket } from '../../src/calls/window.ts';
import { problemOf } from '../../src/errors.ts';
import { manualClock, type ManualClock } from '../support/manualClock.ts';
import { memoryRows, type Line } from '../support/memoryRows.ts';
import { worstWindow } from './judges.ts';
import { stand, type Manner } from './standing.ts';

// What can go wrong between a process and the rows, one thing at a time. All times are the manual clock's.

const near: Line = { delayMs: () => 2, fate: () => 'fine' };
const urgent: Manner = { priority: 'interactive' };
const twenty: Bucket = { key: 'twenty', limit: 20, windowMs: 1_000 };

function open() {
  const clock = manualClock();
  const startMs = clock.now();
  let stepped = 0;
  const rows = memoryRows(clock, () => startMs + clock.monotonic() + stepped);
  return { clock, rows, step: (ms: number) => (stepped += ms) };
}
function startProcess(clock: ManualClock, rows: BudgetRows) {
  const troubles: unknown[] = [];
  const limiter = createSharedRateLimiter({
    clock,
    rows,
    longestCallMs: 1_000,
    onTrouble: (error) => troubles.push(error),
  });
  const turns = createTurns(clock, limiter, { perBucket: 100_000, total: 100_000 });
  const sent: number[] = [];
  /** One call, answered after 3 ms; its line takes `openingMs` to open. */
  const call = async (buckets: readonly Bucket[], manner: Manner = {}, openingMs = 0): Promise<void> => {
    for (;;) {
      const slot = await stand(turns, buckets, manner);
      if (!slot.usable()) {
        slot.unused();
        continue;
      }
      await clock.sleep(openingMs);
      slot.sent();
      sent.push(clock.monotonic());
      await clock.sleep(3);
      return slot.ended();
    }
  };
  const flood = (count: number, bucket: Bucket = twenty) => {
    for (let i = 0; i < count; i++) void call([bucket]);
  };
  return { limiter, turns, troubles, sent, call, flood };
}
/** A caller before the limiter; each call says how it ended. */
function openCaller(clock: ManualClock, limiter: SharedRateLimiter) {
  const caller = createCaller({
    ...{ clock, limiter, requestTimeoutMs: 900 },
    retry: { baseMs: 10, capMs: 10, attempts: 1 },
    queue: { perBucket: 1_000, total: 1_000 },
    attempt: {
      async send(_request, _signal, onSent) {
        onSent();
        await clock.sleep(5);
        return { kind: 'answered', response: { status: 200, headers: {}, body: '' } };
      },
      close: () => Promise.resolve(),
    },
  });
  return (bucket: Bucket, deadlineMs: number): Promise<string> =>
    caller
      .call({
        ...{ integration: 'x', host: 'h', buckets: [bucket], priority: 'poll', idempotent: true },
        deadlineAtMs: clock.now() + deadlineMs,
        request: () => Promise.resolve({ method: 'GET', url: 'http://h/', headers: {} }),
        classify: () => undefined,
      })
      .then(
        () => 'OK',
        (error: unknown) => problemOf(error).code,
      );
}

describe('a step of the database’s clock', () => {
  it.each([-3_600_000, -900, 300, 900, 3_600_000])(
    'by %i ms lets one busy process neither exceed the limit nor stand still',
    async (byMs) => {
      const { clock, rows, step } = open();
      const { flood, sent } = startProcess(clock, rows.seenBy(near));
      flood(400);
      await clock.advance(5_250);
      step(byMs);
      await clock.advance(15_000);
      expect(worstWindow(sent, 1_000)).toBeLessThanOrEqual(20);
      expect(sent.length).toBeGreaterThan(380);
    },
  );

  it.each([-3_600_000, -5_000, 3_600_000])(
    'by %i ms makes no call of a process with little to do wait in vain',
    async (byMs) => {
      const { clock, rows, step } = open();
      const { limiter } = startProcess(clock, rows.seenBy(near));
      const call = openCaller(clock, limiter);
      const results: Promise<string>[] = [];
      for (let i = 0; i < 30; i++) {
        if (i === 10) step(byMs);
        results.push(call(twenty, 2_000));
        await clock.advance(130);
      }
      await clock.advance(3_000);
      expect(new Set(await Promise.all(results))).toEqual(new Set(['OK']));
    },
  );

  it('is noticed by a process that slept through it before it writes', async () => {
    const { clock, rows, step } = open();
    const [idle, other] = [startProcess(clock, rows.seenBy(near)), startProcess(clock, rows.seenBy(near))];
    const elsewhere = { ...twenty, key: 'elsewhere' };
    void idle.call([twenty]);
    void other.call([elsewhere]);
    await clock.advance(1_000);
    step(5_000);
    void other.call([elsewhere]);
    await clock.advance(60_000);
    // On the clock as `idle` knew it, these would be five seconds old to the other, and forgotten.
    idle.flood(10);
    await clock.advance(4);
    other.flood(100);
    await clock.advance(3_000);
    const sent = [...idle.sent, ...other.sent].toSorted((a, b) => a - b);
    expect(worstWindow(sent, 1_000)).toBeLessThanOrEqual(20);
  });
});

describe('a slow or silent database', () => {
  it.each([1_500, 4_500])('costs no more than the %i ms of its answer', async (slowMs) => {
    const { clock, rows } = open();
    let delayMs = 2;
    const { flood, sent } = startProcess(clock, rows.seenBy({ ...near, delayMs: () => delayMs }));
    flood(600);
    await clock.advance(3_000);
    delayMs = slowMs;
    await clock.advance(600);
    delayMs = 2;
    await clock.advance(slowMs + 1_000);
    const backAt = clock.monotonic();
    await clock.advance(5_000);
    expect(worstWindow(sent, 1_000)).toBeLessThanOrEqual(20);
    expect(sent.filter((at) => at >= backAt).length).toBeGreaterThan(90);
  });

  it('is given up on after 5 s, for another statement may get through', async () => {
    const { clock, rows } = open();
    const line = rows.seenBy(near);
    let silent = false;
    const { flood, sent, limiter, troubles } = startProcess(clock, {
      ...line,
      exchange(groups, loud) {
        if (!silent) return line.exchange(groups, loud);
        silent = false;
        return new Promise(() => {});
      },
    });
    flood(600);
    await clock.advance(2_000);
    silent = true;
    await clock.advance(7_000);
    const backAt = clock.monotonic();
    await clock.advance(5_000);
    expect(sent.filter((at) => at >= backAt).length).toBeGreaterThan(90);
    expect(troubles).toHaveLength(1);
    silent = true;
    const closing = limiter.close();
    await clock.advance(11_000);
    await closing;
  });

  it('lets who got something go, when a later statement of the same exchange fails', async () => {
    const { clock, rows } = open();
    const line = rows.seenBy(near);
    let statements = Infinity;
    const { call, sent } = startProcess(clock, {
      ...line,
      exchange(groups, loud) {
        statements++;
        // Somebody else wrote the first row meanwhile, and then the line fails.
        const outdated = groups.map((group, i) =>
          i === 0 ? group.map((row) => ({ ...row, version: 0 })) : group,
        );
        if (statements === 2) return Promise.reject(new Error('cut'));
        return line.exchange(statements === 1 ? outdated : groups, loud);
      },
    });
    const [one, two] = [
      { ...twenty, key: 'one' },
      { ...twenty, key: 'two' },
    ];
    for (const bucket of [one, two]) void call([bucket]);
    await clock.advance(2_000);
    statements = 0;
    sent.length = 0;
    const askedAt = clock.monotonic();
    for (const bucket of [one, two]) void call([bucket], urgent);
    await clock.advance(1_000);
    expect(sent).toHaveLength(2);
    expect(sent[0]! - askedAt).toBeLessThan(20);
    expect(sent[1]! - askedAt).toBeLessThan(200);
  });

  it('may not see a row yet that somebody else is making: it is opened again', async () => {
    const { clock, rows } = open();
    const line = rows.seenBy(near);
    let unseen = 1;
    const { call, sent, troubles } = startProcess(clock, {
      ...line,
      async open(keys) {
        const answer = await line.open(keys);
        return unseen-- > 0 ? { ...answer, rows: [] } : answer;
      },
    });
    void call([twenty], urgent);
    await clock.advance(50);
    expect(sent).toHaveLength(1);
    expect(troubles).toEqual([]);
  });
});

describe('a lease', () => {
  it('is not used after a pause that this process is told of while it asks', async () => {
    const { clock, rows } = open();
    const { call, limiter, sent } = startProcess(clock, rows.seenBy({ ...near, delayMs: () => 40 }));
    void call([twenty], urgent);
    await clock.advance(3_000);
    const statements = rows.statements();
    for (let i = 0; i < 5; i++) void call([twenty], urgent);
    while (rows.statements() === statements) await clock.advance(1);
    await clock.advance(5);
    limiter.pause([twenty], 30_000);
    const before = sent.length;
    for (let i = 0; i < 10; i++) {
      await clock.advance(20);
      expect(limiter.pausedMs([twenty])).toBeGreaterThan(29_000);
    }
    await clock.advance(29_000);
    expect(sent).toHaveLength(before);
    await clock.advance(2_000);
    expect(sent).toHaveLength(before + 5);
    expect(rows.rows.get('twenty')!.state.pausedMs).toBeGreaterThan(0);
  });

  it('counts again when its call arrives after its end, because a line took so long to open', async () => {
    const { clock, rows } = open();
    const ten = { ...twenty, limit: 10 };
    const { call, sent } = startProcess(clock, rows.seenBy(near));
    for (let i = 0; i < 2; i++) void call([ten], urgent, 2_000);
    // The leases have ended and left the window, then the calls arrive.
    await clock.advance(2_050);
    expect(sent).toHaveLength(2);
    for (let i = 0; i < 40; i++) void call([ten]);
    await clock.advance(8_000);
    expect(worstWindow(sent, 1_000)).toBeLessThanOrEqual(10);
    expect(sent).toHaveLength(42);
  });

  it('counts once when its call is merely answered late', async () => {
    const { clock, rows } = open();
    const { turns, limiter } = startProcess(clock, rows.seenBy(near));
    for (let i = 0; i < 5; i++) {
      const slot = await turnOf(clock, turns, twenty);
      slot.sent();
      void clock.sleep(4_000).then(() => slot.ended());
    }
    const leased = { ...twenty };
    await clock.advance(4_500);
    const reading = limiter.refresh([leased]);
    await clock.advance(10);
    await reading;
    expect(limiter.view([leased])?.remaining).toBe(20);
  });

  it('is not counted twice where a call’s wait is estimated', async () => {
    const { clock, rows } = open();
    const { call, turns, flood } = startProcess(clock, rows.seenBy(near));
    const waits: { estimateMs: number; waited: Promise<number> }[] = [];
    for (let i = 0; i < 30; i++) {
      const askedAt = clock.monotonic();
      const estimateMs = turns.estimateMs([twenty], 2, '');
      waits.push({ estimateMs, waited: call([twenty]).then(() => clock.monotonic() - askedAt) });
      await clock.advance(20);
    }
    await clock.advance(5_000);
    for (const { estimateMs, waited } of waits) expect(estimateMs).toBeLessThanOrEqual(await waited);
    flood(60);
    await clock.advance(50);
    expect(turns.estimateMs([twenty], 2, '')).toBeGreaterThan(2_000);
  });
});

describe('a limit', () => {
  it.each([
    { limit: 1, windowMs: 1_000, delayMs: 2, use: 0.9 },
    { limit: 1, windowMs: 1_000, delayMs: 50, use: 0.85 },
    { limit: 20, windowMs: 1_000, delayMs: 50, use: 0.9 },
    { limit: 2, windowMs: 100, delayMs: 2, use: 0.85 },
    { limit: 10, windowMs: 100, delayMs: 2, use: 0.85 },
    // Half of each window goes by on the way to the database and back.
    { limit: 10, windowMs: 100, delayMs: 50, use: 0.3 },
  ])(
    'of $limit in $windowMs ms is exact for three processes, $delayMs ms from the database',
    async ({ limit, windowMs, delayMs, use }) => {
      const { clock, rows } = open();
      const line: Line = { ...near, delayMs: () => delayMs * (0.75 + clock.random() / 2) };
      const all = [1, 2, 3].map(() => startProcess(clock, rows.seenBy(line)));
      const seconds = limit * (1_000 / windowMs) > 20 ? 5 : 20;
      const allowed = (limit * seconds * 1_000) / windowMs;
      for (const { flood } of all) flood(allowed, { key: 'small', limit, windowMs });
      await clock.advance(seconds * 1_000);
      const sent = all.flatMap((one) => one.sent).toSorted((a, b) => a - b);
      expect(worstWindow(sent, windowMs)).toBeLessThanOrEqual(limit);
      expect(sent.length / allowed).toBeGreaterThan(use);
    },
  );
});

/** The next turn, on a clock that has to be moved for it. */
async function turnOf(clock: ManualClock, turns: ReturnType<typeof createTurns>, bucket: Bucket) {
  const turn = stand(turns, [bucket], urgent);
  await clock.advance(60);
  return turn;
}
