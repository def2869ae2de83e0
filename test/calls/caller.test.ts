import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createCaller, type Call, type Caller, type CallReport } from '../../src/calls/caller.ts';
import type { Classify, Fault } from '../../src/calls/http.ts';
import { systemClock, type Clock } from '../../src/clock.ts';
import { IntegrationError, type IntegrationProblem } from '../../src/errors.ts';
import { scriptedServer, type ScriptedServer } from '../support/httpServer.ts';
import { manualClock, type ManualClock } from '../support/manualClock.ts';

const byStatus: Record<number, Fault['code']> = {
  400: 'BAD_REQUEST',
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  409: 'CONFLICT',
  422: 'VALIDATION_FAILED',
  429: 'RATE_LIMITED',
  500: 'PROVIDER_ERROR',
  502: 'PROVIDER_ERROR',
  503: 'PROVIDER_ERROR',
};
const classify: Classify = ({ status, headers }) => {
  const code = byStatus[status];
  return code && { code, message: `status ${status}`, ...(headers.tid && { requestId: headers.tid }) };
};

let server: ScriptedServer;
let caller: Caller;
let reports: CallReport[];
beforeEach(async () => {
  server = await scriptedServer();
  reports = [];
});
afterEach(async () => {
  await caller.close();
  await server.close();
});

function make(
  clock: Clock,
  options: { requestTimeoutMs?: number; perBucket?: number; attempts?: number } = {},
): void {
  caller = createCaller({
    clock,
    requestTimeoutMs: options.requestTimeoutMs ?? 1_000,
    retry: { baseMs: 20, capMs: 100, attempts: options.attempts ?? 3 },
    queue: { perBucket: options.perBucket ?? 100, total: 1_000 },
    onFinished: (report) => reports.push(report),
  });
}
const call = (clock: Clock, more: Partial<Call> = {}) =>
  caller.call({
    integration: 'x',
    host: server.host,
    buckets: [{ key: 'x', limit: 1_000, windowMs: 1_000 }],
    priority: 'interactive',
    deadlineAtMs: clock.now() + 5_000,
    idempotent: true,
    request: () =>
      Promise.resolve({ method: 'GET', url: `${server.url}/thing?secret=1`, headers: { a: 'b' } }),
    classify,
    ...more,
  });
const problemOf = (promise: Promise<unknown>): Promise<IntegrationProblem> =>
  promise.then(
    () => {
      throw new Error('it succeeded');
    },
    (error: unknown) => {
      if (error instanceof IntegrationError) return error.problem;
      throw error;
    },
  );

describe('a call, by the real clock', () => {
  beforeEach(() => make(systemClock));
  const ask = (more: Partial<Call> = {}) => call(systemClock, more);

  it('answers what the provider answered, and reports itself without URL or headers', async () => {
    server.script({ body: '{"ok":true}', headers: { 'x-one': '1' } });
    const answer = await ask({ connectionId: 'c1' });
    expect(answer).toMatchObject({ status: 200, body: '{"ok":true}', headers: { 'x-one': '1' } });
    expect(server.requests).toMatchObject([{ method: 'GET', url: '/thing?secret=1', headers: { a: 'b' } }]);
    expect(reports).toMatchObject([{ integration: 'x', connectionId: 'c1', attempts: 1, outcome: 'OK' }]);
    expect(JSON.stringify(reports)).not.toContain('secret');
  });

  it('reports the provider’s id of the request for a success too, unless that is none', async () => {
    server.script({ headers: { intuit_tid: '1-abc' } }, { headers: { 'x-request-id': 'a b<script>' } });
    await ask();
    await ask();
    expect(reports.map(({ requestId }) => requestId)).toEqual(['1-abc', undefined]);
  });

  it('stays away when a header says that nothing is left for longer than any window of ours', async () => {
    server.script({ headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '3' } });
    const buckets = [{ key: 'unknown limit', limit: 40, windowMs: 1_000 }];
    await ask({ buckets });
    expect(await problemOf(ask({ buckets, deadlineAtMs: Date.now() + 2_000 }))).toMatchObject({
      code: 'RATE_LIMITED',
      retryAfterSeconds: 3,
    });
    expect(server.requests).toHaveLength(1);
  });

  it('sends nothing that could not be answered in the time that is left after waiting', async () => {
    server.script((_: unknown, response: { end(text: string): void }) =>
      setTimeout(() => response.end('{}'), 300),
    );
    const buckets = [{ key: 'slow answers', limit: 4, windowMs: 1_000 }];
    const answers = await Promise.allSettled(
      Array.from({ length: 30 }, () => ask({ buckets, deadlineAtMs: Date.now() + 2_000 })),
    );
    const answered = answers.filter(({ status }) => status === 'fulfilled').length;
    expect(answered).toBeGreaterThanOrEqual(4);
    // Only the first of them go before it is known how long an answer takes.
    expect(server.requests.length - answered).toBeLessThanOrEqual(1);
  });

  it.each([
    [400, 'BAD_REQUEST'],
    [403, 'FORBIDDEN'],
    [404, 'NOT_FOUND'],
    [409, 'CONFLICT'],
    [422, 'VALIDATION_FAILED'],
    [401, 'UNAUTHENTICATED'],
  ])('never tries a %i again', async (status, code) => {
    server.script({ status, headers: { tid: 't-1' } });
    expect(await problemOf(ask())).toMatchObject({ code, retryable: false, requestId: 't-1' });
    expect(server.requests).toHaveLength(1);
    expect(reports).toMatchObject([{ outcome: code, requestId: 't-1' }]);
  });

  it.each([
    ['a 500', 500, 'PROVIDER_ERROR'],
    ['a 503', 503, 'PROVIDER_ERROR'],
    ['a cut line', { cut: true }, 'NETWORK_ERROR'],
    [
      'what is not HTTP',
      (_: unknown, response: { socket: { end(text: string): void } | null }) =>
        response.socket?.end('nonsense\r\n\r\n'),
      'PROVIDER_ERROR',
    ],
  ] as const)('tries again after %s, and gives up with its code', async (_, step, code) => {
    server.script(step as never, 200);
    expect((await ask()).status).toBe(200);
    server.script(step as never);
    expect(await problemOf(ask())).toMatchObject({ code, retryable: true, actor: 'PROVIDER' });
    expect(server.requests).toHaveLength(2 + 3);
  });

  it('reports a refused line as NETWORK_ERROR', async () => {
    await server.close();
    expect(await problemOf(ask())).toMatchObject({ code: 'NETWORK_ERROR' });
    expect(reports[0]?.attempts).toBe(3);
  });

  it('gives an attempt its time and no more', async () => {
    await caller.close();
    make(systemClock, { requestTimeoutMs: 60 });
    server.script({ silent: true }, 200);
    expect((await ask()).status).toBe(200);
    server.script({ silent: true });
    expect(await problemOf(ask())).toMatchObject({ code: 'TIMEOUT' });
  });

  it('refuses an answer that is too long', async () => {
    server.script({ body: 'x'.repeat(9 * 1024 * 1024) });
    expect(await problemOf(ask({ idempotent: false }))).toMatchObject({ code: 'PROVIDER_ERROR' });
  });

  it.each([
    ['a body that is cut', 'http', 'NETWORK_ERROR'],
    ['a line that is not TLS', 'https', 'NETWORK_ERROR'],
  ])('reports %s', async (_, scheme, code) => {
    server.script((_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('half');
      setTimeout(() => response.destroy(), 10);
    });
    const request = () =>
      Promise.resolve({ method: 'GET' as const, url: `${scheme}://${server.host}/`, headers: {} });
    expect(await problemOf(ask({ idempotent: false, request }))).toMatchObject({ code });
  });

  it('says that a request of ours is wrong, and blames nobody else', async () => {
    const request = () =>
      Promise.resolve({ method: 'GET' as const, url: server.url, headers: { authorization: 'a\nsecret' } });
    for (let i = 0; i < 20; i++)
      await expect(ask({ request })).rejects.toThrow(/^(?!.*secret)invalid authorization header$/);
    expect(caller.health('x')).toBe('HEALTHY');
    expect(server.requests).toHaveLength(0);
  });

  it('does not follow a redirect', async () => {
    server.script({ status: 302, headers: { location: 'http://127.0.0.1:1/' } });
    expect((await ask()).status).toBe(302);
  });

  it.each([
    ['a cut line', { cut: true }, 'NETWORK_ERROR'],
    ['a 500', 500, 'PROVIDER_ERROR'],
    ['silence', { silent: true }, 'TIMEOUT'],
  ] as const)('sends what must not happen twice only once when it meets %s', async (_, step, code) => {
    await caller.close();
    make(systemClock, { requestTimeoutMs: 60 });
    server.script(step);
    expect(await problemOf(ask({ idempotent: false }))).toMatchObject({ code });
    expect(server.requests).toHaveLength(1);
  });

  it('sends it again when it certainly was not processed', async () => {
    server.script({ status: 429, headers: { 'retry-after': '0' } }, 200);
    expect((await ask({ idempotent: false })).status).toBe(200);
  });

  it('sends what must never go twice only once, even when it was not processed', async () => {
    server.script({ status: 429, headers: { 'retry-after': '0' } });
    const once = ask({ idempotent: false, retry: { attempts: 1 } });
    expect(await problemOf(once)).toMatchObject({ code: 'RATE_LIMITED' });
    expect(server.requests).toHaveLength(1);
  });

  it('renews the token once after a 401, and makes the request anew', async () => {
    server.script(401, 200);
    let token = 'old';
    const answer = await ask({
      request: () =>
        Promise.resolve({ method: 'GET', url: server.url, headers: { authorization: `Bearer ${token}` } }),
      reauthenticate: () => Promise.resolve(void (token = 'new')),
    });
    expect(answer.status).toBe(200);
    expect(server.requests.map((request) => request.headers.authorization)).toEqual([
      'Bearer old',
      'Bearer new',
    ]);
  });

  it('asks for reauthorization when even the new token is refused', async () => {
    server.script({ status: 401, headers: { tid: 't-2' } });
    let renewed = 0;
    const refused = ask({ reauthenticate: () => Promise.resolve(void renewed++) });
    expect(await problemOf(refused)).toMatchObject({
      code: 'REAUTHORIZATION_REQUIRED',
      actor: 'USER',
      requestId: 't-2',
    });
    expect([renewed, server.requests.length]).toEqual([1, 2]);
  });

  it('passes on what making the request or renewing the token throws', async () => {
    const broken = () => Promise.reject(new RangeError('ours'));
    await expect(ask({ request: broken })).rejects.toThrow(RangeError);
    server.script(401);
    await expect(ask({ reauthenticate: broken })).rejects.toThrow(RangeError);
    expect(server.requests).toHaveLength(1);
  });

  it.each([
    ['while the request is made', { request: () => new Promise<never>(() => undefined) }, 0],
    ['while it waits', { buckets: [{ key: 'full', limit: 1, windowMs: 60_000 }] }, 1],
    ['while it runs', {}, 1],
  ])('ends at once when nobody waits any longer, %s', async (_, more, sent) => {
    server.script({ silent: true });
    if (sent === 1 && 'buckets' in more) {
      server.script(200);
      await ask({ ...more, deadlineAtMs: Date.now() + 100_000 });
    }
    const leaving = new AbortController();
    const cancelled = ask({ ...more, signal: leaving.signal, deadlineAtMs: Date.now() + 100_000 });
    setTimeout(() => leaving.abort(new Error('gone')), 50);
    expect(await problemOf(cancelled)).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(server.requests).toHaveLength(sent);
  });

  it('ends at its deadline, in every stage', async () => {
    server.script({ silent: true });
    const started = performance.now();
    expect(await problemOf(ask({ deadlineAtMs: Date.now() + 80 }))).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    const stuck = () => new Promise<never>(() => undefined);
    expect(await problemOf(ask({ request: stuck, deadlineAtMs: Date.now() + 80 }))).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  it('ends at its deadline in a retry, whatever the attempt before met', async () => {
    server.script(500, { silent: true });
    expect(await problemOf(ask({ deadlineAtMs: Date.now() + 300 }))).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    expect(server.requests).toHaveLength(2);
  });

  it('keeps the last failure when the next pause does not fit in', async () => {
    server.script({ status: 503, headers: { 'retry-after': '60' } });
    const refused = await problemOf(ask());
    expect(refused).toMatchObject({ code: 'PROVIDER_ERROR', retryAfterSeconds: 60 });
    expect(server.requests).toHaveLength(1);
  });

  it('lets running calls end and refuses new ones when it closes', async () => {
    server.script((_, response) => setTimeout(() => response.end('{}'), 100));
    const running = ask();
    await expect.poll(() => server.requests.length).toBe(1);
    const closed = caller.close();
    expect((await running).status).toBe(200);
    await closed;
    expect(await problemOf(ask())).toMatchObject({ code: 'QUEUE_FULL' });
  });
});

describe('a call, by a clock that the test moves', () => {
  let clock: ManualClock;
  beforeEach(() => {
    clock = manualClock();
    make(clock, { attempts: 5 });
  });

  it.each([
    [{ 'retry-after': '120' }, 120],
    [{ 'retry-after': 'Mon, 05 Jan 2026 12:00:30 GMT' }, 30],
    [{}, 60],
  ])('waits as %o says, and so does everybody of that bucket', async (headers, waitSeconds) => {
    const throttle: Classify = (response, now) => {
      const fault = classify(response, now);
      return fault && { ...fault, retryAfterMs: 60_000 };
    };
    const patient = { classify: throttle, deadlineAtMs: clock.now() + 3_600_000 };
    server.script({ status: 429, headers }, 200);
    const first = call(clock, patient);
    await expect
      .poll(() => caller.budget([{ key: 'x', limit: 1_000, windowMs: 1_000 }])?.pausedUntilMs)
      .toBeDefined();
    const hurried = await problemOf(call(clock, { deadlineAtMs: clock.now() + 5_000 }));
    expect(hurried).toMatchObject({ code: 'RATE_LIMITED', retryAfterSeconds: waitSeconds });
    const second = call(clock, patient);
    await clock.advance(waitSeconds * 1_000 - 1);
    expect(server.requests).toHaveLength(1);
    await clock.advance(1);
    await expect.poll(() => server.requests.length).toBe(3);
    expect((await first).status).toBe(200);
    expect((await second).status).toBe(200);
  });

  it('fails with the wait when a 429 does not fit into its deadline', async () => {
    server.script({ status: 429, headers: { 'retry-after': '60' } });
    expect(await problemOf(call(clock))).toMatchObject({
      code: 'RATE_LIMITED',
      retryAfterSeconds: 60,
      retryable: true,
    });
  });

  it('is refused at once when its turn cannot come in time, or too many wait', async () => {
    const buckets = [{ key: 'slow', limit: 1, windowMs: 10_000 }];
    const patient = { buckets, deadlineAtMs: clock.now() + 10_000_000 };
    await call(clock, patient);
    expect(await problemOf(call(clock, { buckets }))).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      retryAfterSeconds: 11,
    });
    const waiting = Array.from({ length: 100 }, () => call(clock, patient).catch(() => undefined));
    await clock.advance(0);
    expect(caller.budget(buckets)).toMatchObject({ remaining: 0, queued: 100 });
    expect(await problemOf(call(clock, patient))).toMatchObject({ code: 'QUEUE_FULL' });
    expect(server.requests).toHaveLength(1);
    await caller.close();
    await Promise.all(waiting);
    expect(server.requests).toHaveLength(1);
  });

  /** Moves the clock in steps that no attempt's timeout fits in, and lets real I/O run between. */
  const elapse = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += 200) {
      await clock.advance(200);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  it('lets an interactive call pass a long line of backfill', async () => {
    const buckets = [{ key: 'slow', limit: 10, windowMs: 1_000 }];
    const patient = { buckets, deadlineAtMs: clock.now() + 10_000_000 };
    const line = Array.from({ length: 90 }, () =>
      call(clock, { ...patient, priority: 'backfill' }).catch(() => undefined),
    );
    await clock.advance(0);
    const urgent = call(clock, { buckets, deadlineAtMs: clock.now() + 2_000 });
    await elapse(1_200);
    expect((await urgent).status).toBe(200);
    await caller.close();
    await Promise.all(line);
    expect(server.requests.length).toBeLessThanOrEqual(20);
  });

  it('refuses nobody who need not wait when too many wait elsewhere', async () => {
    await caller.close();
    caller = createCaller({
      clock,
      requestTimeoutMs: 1_000,
      retry: { baseMs: 20, capMs: 100, attempts: 1 },
      queue: { perBucket: 10, total: 10 },
    });
    const slow = { buckets: [{ key: 'slow', limit: 1, windowMs: 10_000 }], deadlineAtMs: clock.now() + 1e9 };
    await call(clock, slow);
    const line = Array.from({ length: 10 }, () => call(clock, slow).catch(() => undefined));
    await clock.advance(0);
    expect(await problemOf(call(clock, slow))).toMatchObject({ code: 'QUEUE_FULL' });
    expect((await call(clock)).status).toBe(200);
    await caller.close();
    await Promise.all(line);
  });

  it('keeps the last failure when the retry cannot have its turn in time', async () => {
    const buckets = [{ key: 'slow', limit: 1, windowMs: 60_000 }];
    server.script(500);
    const refused = problemOf(call(clock, { buckets }));
    await elapse(1_000);
    expect(await refused).toMatchObject({ code: 'PROVIDER_ERROR' });
    expect(server.requests).toHaveLength(1);
  });

  it('cuts a provider’s own wait to a quarter of an hour', async () => {
    server.script(429);
    const absurd: Classify = () => ({ code: 'RATE_LIMITED', message: 'wait', retryAfterMs: 1e12 });
    expect(await problemOf(call(clock, { classify: absurd }))).toMatchObject({ retryAfterSeconds: 900 });
  });

  it('ends at once when nobody waits any longer, while it backs off', async () => {
    server.script({ status: 503, headers: { 'retry-after': '3' } });
    const leaving = new AbortController();
    const cancelled = problemOf(call(clock, { signal: leaving.signal }));
    await expect.poll(() => clock.sleeping()).toBe(2);
    await expect.poll(() => server.requests.length).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 30));
    leaving.abort(new Error('gone'));
    expect(await cancelled).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(server.requests).toHaveLength(1);
    await caller.close();
    expect(clock.sleeping()).toBe(0);
  });

  it('tells those who wait when the breaker opens, and uses up no budget for them or beside a probe', async () => {
    const buckets = [{ key: 'slow', limit: 1, windowMs: 1_000 }];
    await call(clock, { buckets });
    server.script(500);
    const line = Array.from({ length: 4 }, () =>
      problemOf(call(clock, { buckets, deadlineAtMs: clock.now() + 60_000 })),
    );
    await clock.advance(0);
    for (let i = 0; i < 10; i++) await problemOf(call(clock, { idempotent: false }));
    for (const refused of await Promise.all(line)) expect(refused.code).toBe('CIRCUIT_OPEN');
    const sent = server.requests.length;

    await clock.advance(10_000);
    server.script((_, response) => setTimeout(() => response.end('{}'), 50));
    await Promise.allSettled(Array.from({ length: 200 }, () => call(clock)));
    expect(server.requests).toHaveLength(sent + 1);
    expect(caller.budget([{ key: 'x', limit: 1_000, windowMs: 1_000 }])?.remaining).toBe(999);
  });

  it('adds at most a fifth, and a small reserve, to what is asked of a failing provider', async () => {
    server.script(500);
    const asked: Promise<unknown>[] = [];
    for (let i = 0; i < 200; i++) {
      asked.push(call(clock).catch(() => undefined));
      await elapse(200);
    }
    await elapse(2_000);
    await Promise.all(asked);
    expect(asked).toHaveLength(200);
    expect(server.requests.length).toBeLessThanOrEqual(200 * 1.2 + 10);
    // The breaker keeps most of them from the provider.
    expect(server.requests.length).toBeLessThan(100);
  });

  it('trips the breaker: no more calls, then one probe, then all again', async () => {
    server.script(500);
    for (let i = 0; i < 10; i++) await problemOf(call(clock, { idempotent: false }));
    expect(caller.health('x')).toBe('DOWN');
    expect(await problemOf(call(clock))).toMatchObject({
      code: 'CIRCUIT_OPEN',
      actor: 'PROVIDER',
      retryAfterSeconds: expect.any(Number) as number,
    });
    expect(server.requests).toHaveLength(10);

    await clock.advance(10_000);
    server.script((_, response) => setTimeout(() => response.end('{}'), 50));
    const answers = await Promise.allSettled(Array.from({ length: 200 }, () => call(clock)));
    expect(answers.filter((answer) => answer.status === 'fulfilled')).toHaveLength(1);
    expect(server.requests).toHaveLength(11);
    expect(caller.health('x')).toBe('HEALTHY');
    expect((await call(clock)).status).toBe(200);
  });

  it('does not trip over what tenants get wrong, or over throttling', async () => {
    for (const status of [400, 401, 403, 404, 409, 422]) {
      server.script(status);
      for (let i = 0; i < 10; i++) await problemOf(call(clock));
    }
    server.script({ status: 429, headers: { 'retry-after': '0' } });
    for (let i = 0; i < 20; i++) await problemOf(call(clock, { deadlineAtMs: clock.now() }));
    expect(caller.health('x')).toBe('HEALTHY');
  });

  it('keeps one host’s trouble from another', async () => {
    server.script(500);
    for (let i = 0; i < 10; i++) await problemOf(call(clock, { idempotent: false }));
    server.script(200);
    expect((await call(clock, { host: 'other' })).status).toBe(200);
    expect(caller.health('x')).toBe('DOWN');
    expect(caller.health('y')).toBe('HEALTHY');
  });
});

describe('a call, to a provider that the test plays', () => {
  let clock: ManualClock;
  /** When attempts came. */
  let seen: number[];
  let failing: boolean;
  let answerMs: number;
  beforeEach(() => {
    clock = manualClock();
    seen = [];
    failing = false;
    answerMs = 5;
    caller = createCaller({
      clock,
      requestTimeoutMs: 60_000,
      retry: { baseMs: 200, capMs: 2_000, attempts: 4 },
      queue: { perBucket: 20_000, total: 20_000 },
      attempt: {
        async send(_request, signal, onSent) {
          onSent();
          seen.push(clock.monotonic());
          await clock.sleep(answerMs, signal);
          return failing
            ? { kind: 'failed', code: 'PROVIDER_ERROR', message: 'down', sent: true }
            : { kind: 'answered', response: { status: 200, headers: {}, body: '' } };
        },
        close: () => Promise.resolve(),
      },
      onFinished: (report) => reports.push(report),
    });
  });

  it('is hardly ever one more for a provider that fails for a minute, and goes at the full rate soon after', async () => {
    const outcomes: { askedAt: number; ok: boolean }[] = [];
    const ask = (ms: number) => {
      for (let gone = 0; gone < ms; gone += 20) {
        const askedAt = clock.monotonic() + gone;
        clock.timer(gone, () => {
          void call(clock, { deadlineAtMs: clock.now() + 5_000 }).then(
            () => outcomes.push({ askedAt, ok: true }),
            () => outcomes.push({ askedAt, ok: false }),
          );
        });
      }
      return clock.advance(ms);
    };
    await ask(10_000);
    failing = true;
    seen = [];
    await ask(60_000);
    const { length: attempts } = seen;
    expect(attempts).toBeLessThanOrEqual(1.1 * 3_000);
    // Until half of the last calls have failed it is closed; then there are probes alone, 5 s apart at least.
    const last = seen.findIndex((at, i) => at - (seen[i - 1] ?? at) >= 5_000);
    const probes = seen.slice(last);
    expect(probes.length).toBeGreaterThanOrEqual(4);
    for (const [i, at] of probes.slice(1).entries()) expect(at - probes[i]!).toBeGreaterThanOrEqual(5_000);
    expect(probes[0]! - seen[0]!).toBeLessThanOrEqual(30_000);
    failing = false;
    const healedAt = clock.monotonic();
    await ask(60_000);
    await clock.advance(10_000);
    const lastFailure = Math.max(...outcomes.filter(({ ok }) => !ok).map(({ askedAt }) => askedAt));
    expect(lastFailure - healedAt).toBeLessThanOrEqual(2 * 10_000);
    expect(outcomes).toHaveLength(6_500);
    expect(caller.health('x')).toBe('HEALTHY');
  });

  it('is refused at once, and never made, when its deadline is a second and the queue is ten long', async () => {
    const ten = { buckets: [{ key: 'ten', limit: 10, windowMs: 1_000 }], priority: 'poll' as const };
    const line = Array.from({ length: 100 }, () =>
      call(clock, { ...ten, connectionId: 'a', deadlineAtMs: clock.now() + 60_000 }),
    );
    await clock.advance(0);
    const hurried = problemOf(call(clock, { ...ten, connectionId: 'a', deadlineAtMs: clock.now() + 1_000 }));
    await clock.advance(0);
    expect(reports).toMatchObject([{ outcome: 'DEADLINE_EXCEEDED', attempts: 0, durationMs: 0 }]);
    const { retryAfterSeconds } = await hurried;
    expect(retryAfterSeconds).toBeGreaterThanOrEqual(9);
    await clock.advance(20_000);
    await Promise.all(line);
    expect(seen).toHaveLength(100);
  });

  it('ends at its deadline where nobody can tell how long its turn takes', async () => {
    answerMs = 30_000;
    const one = { buckets: [{ key: 'one', limit: 1, windowMs: 0 }] };
    const slow = call(clock, { ...one, deadlineAtMs: clock.now() + 60_000 });
    const hurried = problemOf(call(clock, { ...one, deadlineAtMs: clock.now() + 1_000 }));
    await clock.advance(999);
    expect(reports).toHaveLength(0);
    await clock.advance(21);
    expect(reports).toMatchObject([{ outcome: 'DEADLINE_EXCEEDED', attempts: 0 }]);
    expect(await hurried).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await clock.advance(30_000);
    expect((await slow).status).toBe(200);
    expect(seen).toHaveLength(1);
  });

  it('leaves nothing of 10,000 that were waiting and are not wanted any longer, and the next one goes in its turn', async () => {
    const buckets = [{ key: 'slow', limit: 1, windowMs: 1_000 }];
    const patient = { buckets, deadlineAtMs: clock.now() + 10_000_000 };
    await Promise.all([call(clock, patient), clock.advance(5)]);
    const leaving = new AbortController();
    const line = Array.from({ length: 10_000 }, (_, i) =>
      problemOf(call(clock, { ...patient, signal: leaving.signal, connectionId: `c${i % 50}` })),
    );
    const stays = call(clock, { ...patient, priority: 'backfill' });
    await clock.advance(0);
    expect(caller.budget(buckets)).toMatchObject({ queued: 10_001 });
    leaving.abort(new Error('gone'));
    expect(new Set((await Promise.all(line)).map(({ code }) => code))).toEqual(
      new Set(['DEADLINE_EXCEEDED']),
    );
    expect(caller.budget(buckets)).toMatchObject({ queued: 1 });
    await clock.advance(1_100);
    expect((await stays).status).toBe(200);
    expect(seen).toHaveLength(2);
    expect(caller.budget(buckets)).toMatchObject({ queued: 0, remaining: 0 });
    expect([...caller.queueDepth()].every(({ waiting }) => waiting === 0)).toBe(true);
    await caller.close();
    expect(clock.sleeping()).toBe(0);
  });
});
