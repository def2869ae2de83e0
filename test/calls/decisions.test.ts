import { describe, expect, it } from 'vitest';
import type { Bucket, Call } from '../../src/calls/caller.ts';
import type { IntegrationError } from '../../src/errors.ts';
import { play, type Step } from './played.ts';

// By what a provider does to an attempt: whether and when another follows, who else waits, what the caller is told.
// An answer takes 5 ms; the pauses of a retry are 100 and 200 ms where nobody says more.

const ok = { status: 200 };
const header = (value: string) => ({ 'retry-after': value });

describe('whether another attempt follows', () => {
  it.each<[string, Step, number[]]>([
    ['a failure of the provider', { status: 500 }, [0, 105, 310]],
    ['a line that failed', { fails: 'NETWORK_ERROR' }, [0, 105, 310]],
    ['silence', { fails: 'TIMEOUT' }, [0, 105, 310]],
    ['an answer that cannot be read', { fails: 'PROVIDER_ERROR' }, [0, 105, 310]],
    ['a limit that does not say how long', { status: 429 }, [0, 105, 310]],
    ['a limit that says how long', { status: 429, headers: header('3') }, [0, 3_005, 6_010]],
    ['a limit that says at once', { status: 429, headers: header('0') }, [0, 5, 10]],
    ['a limit, and the provider’s habit', { status: 429, fault: { retryAfterMs: 40 } }, [0, 45, 90]],
    [
      'a limit’s header before the habit',
      { status: 429, headers: header('2'), fault: { retryAfterMs: 9_000 } },
      [0, 2_005, 4_010],
    ],
    ['a failure that says how long', { status: 503, headers: header('3') }, [0, 3_005, 6_010]],
    [
      'a failure that says at once, which backs off all the same',
      { status: 503, headers: header('0') },
      [0, 105, 310],
    ],
    [
      'a failure, and the provider’s habit',
      { status: 500, fault: { retryAfterMs: 3_000 } },
      [0, 3_005, 6_010],
    ],
    [
      'a limit for years, which is cut to a quarter of an hour',
      { status: 429, fault: { retryAfterMs: 1e12 } },
      [0, 900_005],
    ],
    ['what is gone', { status: 404 }, [0]],
    ['what is gone, though it says how long', { status: 404, headers: header('3') }, [0]],
    ['a conflict, though reading anew cures it', { status: 409, fault: { retryable: true } }, [0]],
    ['a failure that stays', { status: 500, fault: { retryable: false } }, [0]],
    ['an address that we do not call', { fails: 'NOT_CONFIGURED', sent: false }, [0]],
  ])('is decided by %s', async (_, step, times) => {
    const { clock, call, ending, script, times: seen } = play();
    script(step);
    await ending(call({ deadlineAtMs: clock.now() + 1_000_000 }), 1_000_000);
    expect(seen()).toEqual(times);
  });

  it.each<[string, Partial<Call>, Step, number]>([
    ['may have been acted on', { idempotent: false }, { fails: 'NETWORK_ERROR' }, 1],
    ['was answered with a failure', { idempotent: false }, { status: 500 }, 1],
    ['never left', { idempotent: false }, { fails: 'NETWORK_ERROR', sent: false }, 3],
    ['was not taken', { idempotent: false }, { status: 429 }, 3],
    ['has fewer attempts of its own', { retry: { attempts: 2 } }, { status: 500 }, 2],
    ['has more attempts of its own than others', { retry: { attempts: 9 } }, { status: 500 }, 3],
    ['must never go twice', { retry: { attempts: 1 } }, { status: 429 }, 1],
  ])('depends on the call: one that %s', async (_, more, step, count) => {
    const { call, ending, script, seen, reports } = play();
    script(step);
    await ending(call(more), 10_000);
    expect(seen).toHaveLength(count);
    expect(reports).toMatchObject([{ attempts: count }]);
  });

  it('is the integration’s to say, where that has a word of its own', async () => {
    const retryOf = (integration: string) =>
      integration === 'own' ? { attempts: 2, baseMs: 1_000 } : undefined;
    const { call, ending, script, times } = play({ retryOf });
    script({ status: 500 });
    await ending(call({ integration: 'own' }), 5_000);
    expect(times()).toEqual([0, 505]);
    await ending(call(), 5_000);
    expect(times()).toHaveLength(2 + 3);
  });

  it.each([
    ['is no longer asked where the pause takes all the time there is', 3_005, [0]],
    ['is yes where a moment is left after the pause', 3_006, [0, 3_005]],
  ])('%s', async (_, leftMs, times) => {
    const { clock, call, ending, script, times: seen } = play();
    script({ status: 503, headers: header('3') });
    const end = await ending(call({ deadlineAtMs: clock.now() + leftMs }), 10_000);
    expect(seen()).toEqual(times);
    expect(end).toMatchObject({ code: times.length > 1 ? 'DEADLINE_EXCEEDED' : 'PROVIDER_ERROR' });
  });

  it('backs off from a limit that none of ours stands for', async () => {
    const { call, ending, script, times } = play();
    script({ status: 429 });
    await ending(call({ buckets: [] }), 5_000);
    expect(times()).toEqual([0, 105, 310]);
  });

  it('is no where it cannot have its turn in time: the call ends with the failure before', async () => {
    const { clock, call, ending, script, seen } = play();
    const slow: Bucket = { key: 'slow', limit: 1, windowMs: 60_000 };
    script({ status: 500 });
    const end = await ending(call({ buckets: [slow], deadlineAtMs: clock.now() + 5_000 }), 10_000);
    expect(end).toMatchObject({ code: 'PROVIDER_ERROR', provider: 'x', status: 500, sent: true });
    expect(seen).toHaveLength(1);
  });

  it('is no once the integration has spent what it may on retries', async () => {
    const { call, ending, script, seen } = play();
    script({ status: 429, headers: header('0') });
    const twice = (integration: string) => ending(call({ integration, retry: { attempts: 2 } }), 10);
    for (let i = 0; i < 20; i++) await twice('x');
    expect(seen).toHaveLength(20 + 10);
    // Another has its own, and who asks much may try more.
    await twice('y');
    expect(seen).toHaveLength(30 + 2);
    script({});
    for (let i = 0; i < 80; i++) await ending(call(), 5);
    script({ status: 429, headers: header('0') });
    const before = seen.length;
    for (let i = 0; i < 20; i++) await twice('x');
    expect(seen.length - before).toBeGreaterThan(25);
  });
});

describe('who waits besides the call itself', () => {
  const own: Bucket = { key: 'own', limit: 500, windowMs: 1_000 };
  const app: Bucket = { key: 'app', limit: 500, windowMs: 1_000, appWide: true };
  const none = undefined;
  it.each<[string, Step, readonly Bucket[], own: number | undefined, app: number | undefined]>([
    [
      'all of that account, for as long as it says',
      { status: 429, headers: header('7') },
      [own, app],
      7_005,
      none,
    ],
    [
      'all of the app where nothing narrower is counted',
      { status: 429, headers: header('7') },
      [app],
      none,
      7_005,
    ],
    ['all of that account, for a retry’s pause', { status: 429 }, [own, app], 105, none],
    ['all where a failure says how long', { status: 503, headers: header('7') }, [own, app], 7_005, none],
    ['nobody where a failure does not say', { status: 503 }, [own, app], none, none],
    ['nobody for a habit', { status: 503, fault: { retryAfterMs: 7_000 } }, [own, app], none, none],
    ['nobody for what one asked', { status: 404, headers: header('7') }, [own, app], none, none],
  ])('is %s', async (_, step, buckets, ownMs, appMs) => {
    const { clock, caller, call, ending, script } = play();
    const startedAt = clock.now();
    script(step, ok);
    await ending(call({ buckets }), 50);
    const until = (bucket: Bucket) => {
      const { pausedUntilMs } = caller.budget([bucket])!;
      return pausedUntilMs === undefined ? undefined : pausedUntilMs - startedAt;
    };
    expect([until(own), until(app)]).toEqual([ownMs, appMs]);
  });

  it('is told at once when there is no time for that', async () => {
    const { clock, call, script, reports } = play();
    const buckets: readonly Bucket[] = [{ key: 'one', limit: 1, windowMs: 10_000 }];
    script({ status: 429, headers: header('60') });
    const quietly = (connectionId: string, leftMs: number) =>
      call({ buckets, connectionId, deadlineAtMs: clock.now() + leftMs }).catch((error: unknown) => error);
    void quietly('first', 90_000);
    const hurried = quietly('hurried', 30_000);
    void quietly('patient', 90_000);
    await clock.advance(5);
    expect(reports).toMatchObject([{ connectionId: 'hurried', outcome: 'RATE_LIMITED', attempts: 0 }]);
    expect(await hurried).toMatchObject({ code: 'RATE_LIMITED', retryAfterSeconds: 60 });
  });
});

describe('the problem that a call ends with', () => {
  const provided = { providerCode: '3200', requestId: 'r-1' };
  const details = [{ code: '6240', message: 'Duplicate' }];
  it.each<[string, Step, object, object]>([
    [
      'of an answer, with what the provider’s support asks for',
      { status: 404, fault: { ...provided, details } },
      { code: 'NOT_FOUND', message: 'status 404', actor: 'NOBODY', retryable: false, ...provided },
      { provider: 'x', status: 404, sent: true, details },
    ],
    [
      'of an answer that says no more',
      { status: 404, headers: { 'x-request-id': 'r-2' } },
      { code: 'NOT_FOUND', message: 'status 404', actor: 'NOBODY', retryable: false },
      { provider: 'x', status: 404, sent: true, details: [] },
    ],
    [
      'of what another reading cures',
      { status: 409, fault: { retryable: true } },
      { code: 'CONFLICT', message: 'status 409', actor: 'NOBODY', retryable: true },
      { provider: 'x', status: 409, sent: true },
    ],
    [
      'of a failure',
      { status: 500 },
      { code: 'PROVIDER_ERROR', message: 'status 500', actor: 'PROVIDER', retryable: true },
      { provider: 'x', status: 500, sent: true },
    ],
    [
      'of a failure that stays',
      { status: 500, fault: { retryable: false } },
      { code: 'PROVIDER_ERROR', message: 'status 500', actor: 'PROVIDER', retryable: false },
      { provider: 'x', status: 500, sent: true },
    ],
    [
      'of a failure that says how long, in whole seconds',
      { status: 500, fault: { retryAfterMs: 6_001 } },
      {
        code: 'PROVIDER_ERROR',
        message: 'status 500',
        actor: 'PROVIDER',
        retryable: true,
        retryAfterSeconds: 7,
      },
      { provider: 'x', status: 500, sent: true },
    ],
    [
      'of a limit that does not say how long',
      { status: 429 },
      { code: 'RATE_LIMITED', message: 'status 429', actor: 'NOBODY', retryable: true, retryAfterSeconds: 1 },
      { provider: 'x', status: 429, sent: true },
    ],
    [
      'of a limit',
      { status: 429, headers: header('60') },
      {
        code: 'RATE_LIMITED',
        message: 'status 429',
        actor: 'NOBODY',
        retryable: true,
        retryAfterSeconds: 60,
      },
      { provider: 'x', status: 429, sent: true },
    ],
    [
      'of a request that never left',
      { fails: 'NETWORK_ERROR', sent: false },
      { code: 'NETWORK_ERROR', message: 'The line failed.', actor: 'PROVIDER', retryable: true },
      { provider: 'x', status: undefined, sent: false, details: [] },
    ],
  ])('is that %s', async (_, step, problem, origin) => {
    const { clock, call, ending, script } = play();
    script(step);
    const end = (await ending(call({ retry: { attempts: 1 } }), 5)) as IntegrationError;
    expect(end.problem).toStrictEqual({ ...problem, occurredAt: new Date(clock.now()) });
    expect(end).toMatchObject(origin);
  });
});

describe('a refused token', () => {
  const refused = { status: 401, fault: { providerCode: '3200', requestId: 'r-1' } };
  const open = () => {
    const played = play();
    let renewed = 0;
    const withToken = (): Partial<Call> => ({
      request: () =>
        Promise.resolve({ method: 'GET', url: 'https://h/', headers: { authorization: `token ${renewed}` } }),
      reauthenticate: () => Promise.resolve(void renewed++),
    });
    return { ...played, withToken, renewed: () => renewed };
  };

  it('is renewed once, and the request made anew without a pause', async () => {
    const { call, ending, script, seen, withToken, reports } = open();
    script(refused, ok);
    expect(await ending(call(withToken()), 10)).toMatchObject({ status: 200 });
    expect(seen.map(({ atMs, request }) => [atMs, request.headers.authorization])).toEqual([
      [0, 'token 0'],
      [5, 'token 1'],
    ]);
    expect(reports).toMatchObject([{ outcome: 'OK', attempts: 2 }]);
  });

  it('that is new means that the user must connect again', async () => {
    const { clock, call, ending, script, seen, withToken, renewed } = open();
    script(refused);
    const end = (await ending(call(withToken()), 10)) as IntegrationError;
    expect(end.problem).toStrictEqual({
      code: 'REAUTHORIZATION_REQUIRED',
      message: 'The provider refuses even a new token: connect again.',
      ...{ actor: 'USER', retryable: false, providerCode: '3200', requestId: 'r-1' },
      occurredAt: new Date(clock.now()),
    });
    expect(end).toMatchObject({ provider: 'x', status: 401, sent: true });
    expect([renewed(), seen.length]).toEqual([1, 2]);
  });

  it('is renewed between retries too, which keep their count', async () => {
    const { call, ending, script, times, withToken } = open();
    script({ status: 500 }, refused, { status: 500 }, { status: 500 });
    expect(await ending(call(withToken()), 1_000)).toMatchObject({ code: 'PROVIDER_ERROR' });
    expect(times()).toEqual([0, 105, 110, 315]);
  });

  it('ends the call where nobody can renew it', async () => {
    const { call, ending, script, seen } = open();
    script(refused);
    expect(await ending(call(), 10)).toMatchObject({ code: 'UNAUTHENTICATED', status: 401 });
    expect(seen).toHaveLength(1);
  });

  it('is not what anything else means', async () => {
    const { call, ending, script, withToken, renewed } = open();
    script({ status: 404 });
    expect(await ending(call(withToken()), 10)).toMatchObject({ code: 'NOT_FOUND' });
    expect(renewed()).toBe(0);
  });
});
