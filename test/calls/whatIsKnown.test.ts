import { describe, expect, it } from 'vitest';
import type { Bucket, Call } from '../../src/calls/caller.ts';
import { play, thousand, type Step } from './played.ts';

// What a caller keeps of its attempts: whether the provider is well, what it allows, how long its answers take.

const down: Step = { status: 500 };
const silent: Step = { afterMs: Infinity };
const stays: Step = { fails: 'NOT_CONFIGURED', sent: false };
/** With chance at a half a breaker lets a probe pass after so long. */
const openMs = 7_500;

describe('the health of a provider', () => {
  const limited: Step = { status: 429, headers: { 'retry-after': '0' } };
  it.each<[string, number, Step, number, Step, string, string]>([
    ['DOWN after ten failures', 10, down, 0, down, 'DOWN', 'open'],
    ['DOWN after ten lines that failed', 10, { fails: 'NETWORK_ERROR' }, 0, down, 'DOWN', 'open'],
    ['DOWN after ten attempts that took too long', 10, { fails: 'TIMEOUT' }, 0, down, 'DOWN', 'open'],
    ['not known after nine', 9, down, 0, down, 'HEALTHY', 'closed'],
    ['DEGRADED by ten failures among more answers', 11, {}, 10, down, 'DEGRADED', 'closed'],
    ['DEGRADED by ten among what was refused', 11, { status: 404 }, 10, down, 'DEGRADED', 'closed'],
    ['DEGRADED by ten among what was too much', 11, limited, 10, down, 'DEGRADED', 'closed'],
    ['not proven by addresses that we do not call', 11, stays, 10, down, 'DOWN', 'open'],
    ['not questioned by them either', 20, stays, 0, down, 'HEALTHY', 'closed'],
    ['not questioned by what was refused', 20, { status: 401 }, 0, down, 'HEALTHY', 'closed'],
    ['not questioned by bugs of ours', 20, { throws: new TypeError('ours') }, 0, down, 'HEALTHY', 'closed'],
    ['not proven by bugs of ours', 11, { throws: new TypeError('ours') }, 10, down, 'DOWN', 'open'],
  ])('is %s', async (_, some, first, more, then, health, state) => {
    const { caller, meet } = play();
    await meet(some, first);
    await meet(more, then);
    expect([caller.health('x'), caller.breakerState('x')]).toEqual([health, state]);
  });

  it.each<[string, Partial<Call>, number, string, string]>([
    ['is DOWN where ten attempts had their time', { timeoutMs: 800 }, 800, 'TIMEOUT', 'DOWN'],
    ['is DOWN where ten deadlines came after a second of silence', {}, 1_000, 'DEADLINE_EXCEEDED', 'DOWN'],
    ['is not questioned by ten deadlines that came earlier', {}, 992, 'DEADLINE_EXCEEDED', 'HEALTHY'],
    ['is not questioned by ten who left', { timeoutMs: 60_000 }, 9_000, 'DEADLINE_EXCEEDED', 'HEALTHY'],
  ])('%s', async (_, more, afterMs, outcome, health) => {
    const { clock, caller, call, script, attempts, reports } = play();
    await clock.advance(3_600_000);
    script(silent);
    const leaving = new AbortController();
    if (afterMs === 9_000) clock.timer(afterMs, () => leaving.abort('left'));
    const deadlineAtMs = clock.now() + (more.timeoutMs === undefined ? afterMs : 60_000);
    for (let i = 0; i < 10; i++) {
      void call({ signal: leaving.signal, retry: { attempts: 1 }, deadlineAtMs, ...more }).catch(
        () => undefined,
      );
    }
    await clock.advance(afterMs);
    expect(reports).toHaveLength(10);
    expect(attempts[9]).toEqual({ integration: 'x', outcome, durationMs: afterMs });
    expect(caller.health('x')).toBe(health);
  });

  it('is that of the worst host, and nothing of another integration’s', async () => {
    const { clock, caller, call, ending, meet } = play();
    await meet(10, {}, { host: 'fine' });
    expect(caller.health('x')).toBe('HEALTHY');
    await meet(10, down, { host: 'probed' });
    await clock.advance(openMs);
    expect([caller.health('x'), caller.breakerState('x')]).toEqual(['DEGRADED', 'halfOpen']);
    await meet(10, down, { host: 'failing' });
    expect([caller.health('x'), caller.breakerState('x')]).toEqual(['DOWN', 'open']);
    expect(await ending(call({ host: 'failing' }), 5)).toMatchObject({ code: 'CIRCUIT_OPEN' });
    expect(await ending(call({ host: 'fine' }), 5)).toMatchObject({ status: 200 });
    expect(await ending(call({ host: 'failing', integration: 'y' }), 5)).toMatchObject({ status: 200 });
    for (const other of ['y', 'never called'])
      expect([caller.health(other), caller.breakerState(other)]).toEqual(['HEALTHY', 'closed']);
  });
});

describe('a probe of a provider that was failing', () => {
  const open = async () => {
    const played = play({ requestTimeoutMs: 2_000 });
    await played.meet(10, down);
    await played.clock.advance(openMs);
    return played;
  };

  it.each<[string, Step, string]>([
    ['proves it by an answer', {}, 'closed'],
    ['proves it by a refusal', { status: 404 }, 'closed'],
    ['holds calls back again when it fails', down, 'open'],
    ['leaves its place to another where it met a bug of ours', { throws: new TypeError('ours') }, 'halfOpen'],
    ['leaves its place to another where we do not call its address', stays, 'halfOpen'],
  ])('%s', async (_, step, state) => {
    const { caller, meet, seen } = await open();
    await meet(1, step);
    expect(caller.breakerState('x')).toBe(state);
    await meet(1, {});
    expect(seen).toHaveLength(state === 'open' ? 11 : 12);
  });

  it('leaves its place to another when its request cannot be made', async () => {
    const { caller, call, ending } = await open();
    const request = () => Promise.reject(new RangeError('ours'));
    expect(await ending(call({ request }))).toBeInstanceOf(RangeError);
    expect(await ending(call(), 5)).toMatchObject({ status: 200 });
    expect(caller.breakerState('x')).toBe('closed');
  });

  it('has a second more than an attempt, after which another may try', async () => {
    const { clock, call, ending, script } = await open();
    script(silent, {});
    void call({ timeoutMs: 60_000 }).catch(() => undefined);
    await clock.advance(2_999);
    expect(await ending(call())).toMatchObject({ code: 'CIRCUIT_OPEN' });
    expect(await ending(call(), 5)).toMatchObject({ code: 'CIRCUIT_OPEN' });
    expect(await ending(call(), 5)).toMatchObject({ status: 200 });
  });

  it('has as long as its host’s first call asked for', async () => {
    const { clock, call, ending, script, meet } = play();
    await meet(10, down, { timeoutMs: 500 });
    await clock.advance(openMs);
    script(silent, {});
    void call().catch(() => undefined);
    await clock.advance(1_499);
    expect(await ending(call(), 1)).toMatchObject({ code: 'CIRCUIT_OPEN' });
    expect(await ending(call(), 5)).toMatchObject({ status: 200 });
  });
});

describe('who waits while a provider fails', () => {
  const one: Bucket = { key: 'one', limit: 1, windowMs: 60_000 };
  const open = async () => {
    const played = play();
    await played.ending(played.call({ buckets: [one] }), 5);
    const waiting = played.call({ buckets: [one], connectionId: 'waits' }).catch((error: unknown) => error);
    return { ...played, waiting };
  };

  it('is told as soon as calls are held back, and uses nothing up', async () => {
    const { caller, waiting, meet, reports } = await open();
    await meet(9, down);
    const refused = reports.filter(({ outcome }) => outcome === 'CIRCUIT_OPEN');
    expect(refused).toMatchObject([{ connectionId: 'waits', attempts: 0 }]);
    expect(await waiting).toMatchObject({ code: 'CIRCUIT_OPEN' });
    expect(caller.budget([one])).toMatchObject({ queued: 0 });
  });

  it('is told as soon as silence holds them back', async () => {
    const { clock, call, script, reports } = await open();
    script(silent);
    for (let i = 0; i < 9; i++) void call({ timeoutMs: 400, retry: { attempts: 1 } }).catch(() => undefined);
    await clock.advance(410);
    expect(reports.filter(({ outcome }) => outcome === 'CIRCUIT_OPEN')).toHaveLength(1);
  });

  it('waits on while they pass', async () => {
    const { caller, meet, reports } = await open();
    await meet(8, down);
    expect(caller.budget([one])).toMatchObject({ queued: 1 });
    expect(reports.every(({ connectionId }) => connectionId !== 'waits')).toBe(true);
  });
});

describe('what an answer says of the limits', () => {
  const left = (remaining: string, reset?: string) => ({
    'x-ratelimit-remaining': remaining,
    ...(reset !== undefined && { 'x-ratelimit-reset': reset }),
  });
  const second: Bucket = { key: 'second', limit: 100, windowMs: 1_000 };
  const longer: Bucket = { key: 'longer', limit: 100, windowMs: 10_000 };
  const app: Bucket = { key: 'app', limit: 100, windowMs: 500, appWide: true };
  it.each<[string, readonly Bucket[], Record<string, string>, { remaining: number; pausedMs?: number }]>([
    ['is nothing in most', [second], {}, { remaining: 99 }],
    ['corrects what we thought is left', [second], left('40'), { remaining: 40 }],
    ['does not pause us while there is something left', [second], left('1', '30'), { remaining: 1 }],
    ['does not pause us without a time', [second], left('0'), { remaining: 0 }],
    ['does not pause us for one of our windows', [second], left('0', '1.1'), { remaining: 0 }],
    ['does not pause us for the longest of them', [second, longer], left('0', '11'), { remaining: 0 }],
    ['pauses us for longer than a window', [second], left('0', '1.2'), { remaining: 0, pausedMs: 1_200 }],
    ['pauses us for one account, not for the app', [second, app], left('0', '30'), { remaining: 99 }],
    [
      'pauses us for the app where nothing is narrower',
      [app],
      left('0', '30'),
      { remaining: 0, pausedMs: 30_000 },
    ],
    [
      'pauses us for a day, by a quarter of an hour',
      [second],
      left('0', '86400'),
      { remaining: 0, pausedMs: 900_000 },
    ],
    [
      'pauses us for the longest of several',
      [second],
      { ...left('0', '60'), 'ratelimit-remaining': '0', 'ratelimit-reset': '5' },
      { remaining: 0, pausedMs: 60_000 },
    ],
    [
      'pauses us for those that are used up only',
      [second],
      { ...left('3', '60'), 'ratelimit-remaining': '0', 'ratelimit-reset': '5' },
      { remaining: 0, pausedMs: 5_000 },
    ],
  ])('%s', async (_, buckets, headers, { remaining, pausedMs }) => {
    const { clock, caller, call, ending, script } = play();
    const answeredAt = clock.now() + 5;
    script({ headers });
    await ending(call({ buckets }), 5);
    const view = caller.budget([buckets.at(-1)!])!;
    expect(view.remaining).toBe(remaining);
    expect(view.pausedUntilMs).toBe(pausedMs === undefined ? undefined : answeredAt + pausedMs);
  });

  it('is told at once to who has no time for the pause', async () => {
    const { clock, call, script, reports } = play();
    const buckets: readonly Bucket[] = [{ key: 'cap', limit: 1, windowMs: 0 }, second];
    script({ headers: left('0', '60') });
    void call({ buckets, connectionId: 'first' });
    void call({ buckets, connectionId: 'hurried', deadlineAtMs: clock.now() + 30_000 }).catch(
      () => undefined,
    );
    void call({ buckets, connectionId: 'patient' });
    await clock.advance(5);
    expect(reports.map(({ connectionId, outcome }) => `${connectionId} ${outcome}`).toSorted()).toEqual([
      'first OK',
      'hurried RATE_LIMITED',
    ]);
  });

  it('is heard in a refusal and in a failure too', async () => {
    const { caller, call, ending, script } = play();
    for (const [status, remaining] of [
      [404, 50],
      [500, 30],
    ] as const) {
      script({ status, headers: left(String(remaining)) });
      await ending(call({ buckets: [second], retry: { attempts: 1 } }), 5);
      expect(caller.budget([second])).toMatchObject({ remaining });
    }
  });
});

describe('how long answers usually take', () => {
  // Who would have less time than that for its answer, once its turn has come, is refused.
  it.each<[string, Step[], number]>([
    ['is not known before the first', [], 0],
    ['is what the first took', [{ afterMs: 800 }], 800],
    ['follows an eighth of the way', [{ afterMs: 800 }, { afterMs: 1_600 }], 900],
    ['follows down as well', [{ afterMs: 1_600 }, { afterMs: 800 }], 1_500],
    ['is learnt from answers of any kind', [{ afterMs: 800, status: 404 }], 800],
    ['is not learnt from failures of the line', [{ afterMs: 800, fails: 'NETWORK_ERROR' }], 0],
  ])('%s, which decides who has the time', async (_, steps, usualMs) => {
    const { clock, caller, call, ending, script } = play();
    for (const step of steps) {
      script(step);
      await ending(call({ retry: { attempts: 1 } }), step.afterMs);
    }
    const one: Bucket = { key: 'one', limit: 1, windowMs: 60_000 };
    script({ afterMs: 1 });
    // Of another integration, from which nothing is learnt here.
    await ending(call({ integration: 'other', buckets: [one] }), 1);
    const turnAtMs = clock.now() + caller.budget([one])!.estimatedWaitMs;
    const inTime = (deadlineAtMs: number) => ending(call({ buckets: [one], deadlineAtMs }));
    expect(await inTime(turnAtMs + usualMs - 1)).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(await inTime(turnAtMs + usualMs)).toBe('not yet');
  });

  it('lets who has waited go when nobody knows', async () => {
    const { clock, call, ending } = play();
    const one: Bucket = { key: 'one', limit: 1, windowMs: 1_000 };
    await ending(call({ integration: 'other', buckets: [one] }), 5);
    expect(await ending(call({ buckets: [one], deadlineAtMs: clock.now() + 5_000 }), 2_000)).toMatchObject({
      status: 200,
    });
    expect(await ending(call({ buckets: [thousand] }), 5)).toMatchObject({ status: 200 });
  });
});
