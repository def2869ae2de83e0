import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { Bucket, Call, Reach } from '../../src/calls/caller.ts';
import { scriptedServer } from '../support/httpServer.ts';
import { play, type Step } from './played.ts';

// What a caller hands on, to the transport and to those who count, and how a call ends.

const one: Bucket = { key: 'one', limit: 1, windowMs: 10_000 };
const silent: Step = { afterMs: Infinity };
const named = (name: string, value: string): Step => ({ headers: { [name]: value } });

describe('the report of a call', () => {
  it('has all of it, the wait and the attempts too', async () => {
    const { clock, call, ending, script, reports, attempts } = play();
    await clock.advance(3_600_000);
    await ending(call({ buckets: [one], integration: 'other' }), 5);
    script({ status: 500, afterMs: 300 }, { afterMs: 20, headers: { intuit_tid: 't-1' } });
    const buckets = [{ ...one, key: 'two', limit: 100 }, one];
    await ending(call({ buckets, connectionId: 'c1', priority: 'poll' }), 60_000);
    const { waitedMs, durationMs, ...report } = reports[1]!;
    expect(report).toEqual({
      ...{
        integration: 'x',
        connectionId: 'c1',
        priority: 'poll',
        attempts: 2,
        outcome: 'OK',
        requestId: 't-1',
      },
    });
    // Two turns of ten seconds, two answers; the pause of 100 ms is over before the second turn comes.
    expect(waitedMs).toBeGreaterThan(19_000);
    expect(durationMs - waitedMs).toBe(300 + 100 + 20);
    expect(attempts.slice(1)).toEqual([
      { integration: 'x', outcome: 'PROVIDER_ERROR', durationMs: 300 },
      { integration: 'x', outcome: 'OK', durationMs: 20 },
    ]);
  });

  it.each<[string, Partial<Call>, Step, string, string[]]>([
    ['the code of what was refused', {}, { status: 404 }, 'NOT_FOUND', ['NOT_FOUND']],
    [
      'PROVIDER_ERROR for a bug of ours',
      { request: () => Promise.reject(new RangeError('ours')) },
      {},
      'PROVIDER_ERROR',
      [],
    ],
    [
      'PROVIDER_ERROR for a bug of ours in an attempt',
      {},
      { throws: new RangeError('ours') },
      'PROVIDER_ERROR',
      ['PROVIDER_ERROR'],
    ],
    [
      'DEADLINE_EXCEEDED for a request that is not made in time',
      { request: () => new Promise(() => undefined) },
      {},
      'DEADLINE_EXCEEDED',
      [],
    ],
    ['DEADLINE_EXCEEDED for silence', {}, silent, 'DEADLINE_EXCEEDED', ['DEADLINE_EXCEEDED']],
    [
      'TIMEOUT for an attempt’s end',
      { timeoutMs: 80, retry: { attempts: 1 } },
      silent,
      'TIMEOUT',
      ['TIMEOUT'],
    ],
  ])('has %s', async (_, more, step, outcome, outcomes) => {
    const { clock, call, ending, script, reports, attempts } = play();
    script(step);
    await ending(call({ deadlineAtMs: clock.now() + 160, ...more }), 160);
    expect(reports).toMatchObject([{ outcome, attempts: outcomes.length }]);
    expect(attempts.map((attempt) => attempt.outcome)).toEqual(outcomes);
  });

  const long = 'a'.repeat(128);
  it.each<[string, Step, string | undefined]>([
    ['of QuickBooks', named('intuit_tid', '1-5f.a:b_C'), '1-5f.a:b_C'],
    ['of Slack', named('x-slack-req-id', 'b'), 'b'],
    ['of most', named('x-request-id', long), long],
    ['of others', named('request-id', 'd'), 'd'],
    ['of a chain of calls', named('x-correlation-id', 'e'), 'e'],
    [
      'that the provider’s file found',
      { status: 404, headers: { intuit_tid: 'no' }, fault: { requestId: 'f' } },
      'f',
    ],
    ['of a refusal', { status: 404, headers: { intuit_tid: 'g' } }, 'g'],
    ['of the first that is one', { headers: { intuit_tid: 'no id', 'request-id': 'h' } }, 'h'],
    ['unless it is too long', named('x-request-id', `${long}a`), undefined],
    ['unless it is empty', named('x-request-id', ''), undefined],
    ['unless more stands before it', named('x-request-id', '<b> i'), undefined],
    ['unless more stands behind it', named('x-request-id', 'i <b>'), undefined],
    ['unless there is none', named('x-other-id', 'i'), undefined],
    ['unless there is no answer', { fails: 'NETWORK_ERROR' }, undefined],
  ])('has the id of the request, %s', async (_, step, requestId) => {
    const { call, ending, script, reports } = play();
    script(step);
    await ending(call({ retry: { attempts: 1 } }), 5);
    expect(reports[0]!.requestId).toBe(requestId);
  });

  it('may be of interest to nobody', async () => {
    const { call, ending } = play({ onFinished: undefined, onAttempt: undefined } as object);
    expect(await ending(call(), 5)).toMatchObject({ status: 200 });
  });
});

describe('a call that ends early', () => {
  it.each<[string, Step, (leaving: AbortController) => void, string, boolean]>([
    [
      'at its deadline, with what may have been acted on',
      silent,
      () => {},
      'The provider did not answer in the time there was.',
      true,
    ],
    [
      'when nobody waits any longer',
      silent,
      (leaving) => leaving.abort(new Error('left')),
      'Nobody waits for the answer any longer.',
      false,
    ],
  ])('ends %s', async (_, step, leave, message, sent) => {
    const { clock, call, ending, script, attempts } = play();
    script(step);
    const leaving = new AbortController();
    clock.timer(500, () => leave(leaving));
    const end = await ending(call({ signal: leaving.signal, deadlineAtMs: clock.now() + 800 }), 800);
    expect(end).toMatchObject({ code: 'DEADLINE_EXCEEDED', message, sent });
    expect(attempts).toMatchObject([{ outcome: 'DEADLINE_EXCEEDED' }]);
  });

  it('ends at its deadline in a retry, whatever was before', async () => {
    const { clock, call, ending, script } = play();
    script({ status: 500 }, silent);
    const end = await ending(call({ deadlineAtMs: clock.now() + 800 }), 800);
    expect(end).toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: true });
  });

  it('leaves nothing with who would have ended it', async () => {
    const { call, ending } = play();
    const { signal } = new AbortController();
    const running = call({ signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    expect(await ending(running, 5)).toMatchObject({ status: 200 });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('passes a bug of ours on', async () => {
    const { call, ending, script } = play();
    const bug = new TypeError('ours');
    script({ throws: bug });
    expect(await ending(call(), 5)).toBe(bug);
    script({ status: 401 });
    expect(await ending(call({ reauthenticate: () => Promise.reject(bug) }), 5)).toBe(bug);
  });

  it('ends while its token is renewed', async () => {
    const { clock, call, ending, script } = play();
    script({ status: 401 });
    const more = {
      reauthenticate: () => new Promise<never>(() => undefined),
      deadlineAtMs: clock.now() + 80,
    };
    expect(await ending(call(more), 80)).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });
});

describe('what the transport is told', () => {
  it('is the request, the call’s own time and how far it may go', async () => {
    const reachOf = (integration: string, host: string): Reach =>
      integration === 'x' && host === 'h:8443' ? 'private' : 'public';
    const { call, ending, seen } = play({ reachOf });
    const request = { method: 'POST' as const, url: 'https://h:8443/a?b', headers: { c: 'd' }, body: 'e' };
    await ending(call({ request: () => Promise.resolve(request), timeoutMs: 700 }), 5);
    await ending(call(), 5);
    expect(seen).toEqual([
      { atMs: 0, request, timeoutMs: 700, reach: 'private' },
      {
        atMs: 5,
        request: expect.objectContaining({ url: 'https://h/thing' }) as object,
        timeoutMs: undefined,
        reach: 'public',
      },
    ]);
  });

  it('leaves to it how far a request may go where nobody says', async () => {
    const { call, ending, seen } = play();
    await ending(call(), 5);
    expect(seen[0]!.reach).toBeUndefined();
  });

  it('ends an attempt after the caller’s time where the call has none', async () => {
    const { call, ending, script, times } = play({ requestTimeoutMs: 400 });
    script(silent, {});
    expect(await ending(call(), 1_000)).toMatchObject({ status: 200 });
    expect(times()).toEqual([0, 500]);
  });

  it('goes by HTTP where there is no other', async () => {
    const server = await scriptedServer();
    const { caller, call } = play({ attempt: undefined } as object);
    try {
      server.script({ body: '{"a":1}' });
      const request = () => Promise.resolve({ method: 'GET' as const, url: `${server.url}/a`, headers: {} });
      expect(await call({ request })).toMatchObject({ status: 200, body: '{"a":1}' });
      expect(server.requests).toMatchObject([{ method: 'GET', url: '/a' }]);
    } finally {
      await caller.close();
      await server.close();
    }
  });
});

describe('a caller that closes', () => {
  it('refuses what comes, ends what waits and lets end what was sent', async () => {
    const { caller, clock, call, ending, script, seen, closings } = play();
    script({ afterMs: 300 });
    const sent = call({ buckets: [one] });
    const waiting = call({ buckets: [one] });
    const pausing = ending(waiting, 5);
    await pausing;
    const closed = caller.close();
    expect(caller.close()).toBe(closed);
    const shutting = { code: 'QUEUE_FULL', message: 'The service is shutting down.' };
    expect(await ending(waiting)).toMatchObject(shutting);
    expect(await ending(call())).toMatchObject({ ...shutting, retryAfterSeconds: 1, provider: 'x' });
    expect(await ending(sent, 300)).toMatchObject({ status: 200 });
    await closed;
    expect([seen.length, closings()]).toEqual([1, 1]);
    expect(clock.sleeping()).toBe(0);
  });
});
