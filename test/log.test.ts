import { describe, expect, it } from 'vitest';
import { IntegrationError, problem } from '../src/errors.ts';
import { createLog } from '../src/log.ts';

/** Twenty kinds of secret; none may be found in what was written, however it got there. */
const canary = 'c4n4ry-8f2b91d7e6';

function linesOf(write: (log: ReturnType<typeof createLog>) => void): {
  text: string;
  last: Record<string, unknown>;
} {
  const lines: string[] = [];
  write(createLog('trace', { write: (line: string) => void lines.push(line) }));
  return { text: lines.join(''), last: JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown> };
}

describe('createLog', () => {
  it.each([
    ['a token member', { accessToken: canary }],
    ['a snake-case token', { refresh_token: canary }],
    ['a client secret deep inside', { a: { b: [{ client_secret: canary }] } }],
    ['a password', { credentials: { password: canary } }],
    ['an Authorization header', { headers: { authorization: `Bearer ${canary}` } }],
    ['a cookie', { headers: { cookie: `sid=${canary}` } }],
    ['a code verifier', { codeVerifier: canary }],
    ['an authorization code', { code: canary }],
    ['a state', { state: canary }],
    ['a webhook signature', { 'intuit-signature': canary }],
    ['a request body', { body: `grant_type=refresh_token&refresh_token=${canary}` }],
    ['a bearer value under a harmless name', { note: `sent Bearer ${canary}` }],
    ['a code in a URL', { url: `https://x.example/cb?code=${canary}&realmId=1` }],
    ['a state in a URL', { url: `https://x.example/cb?a=1&state=${canary}` }],
    ['a password in a database URL', { url: `postgres://app:${canary}@db/x` }],
    ['bytes', { sealedKey: Buffer.from(canary) }],
    ['an error message', { err: new Error(`Basic ${canary} was refused`) }],
    ['a cause', { err: new Error('outer', { cause: { request: { authorization: canary } } }) }],
    ['a member of an error', { err: Object.assign(new Error('x'), { config: { token: canary } }) }],
    ['an error as the object itself', Object.assign(new Error('x'), { token: canary })],
  ])('writes nothing of %s', (_, object) => {
    const { text } = linesOf((log) => log.error(object, 'it happened'));
    expect(text).toContain('it happened');
    expect(text).not.toContain(canary);
    expect(text).not.toContain(canary.slice(0, 12));
  });

  it('writes nothing of a secret in the message or in its arguments', () => {
    const { text } = linesOf((log) => log.info('callback %s', `/cb?code=${canary}`));
    expect(text).toContain('callback');
    expect(text).not.toContain(canary);
  });

  it('keeps what an operator needs', () => {
    const cause = problem('RATE_LIMITED', 'Slow down.', new Date(0), {
      retryAfterSeconds: 60,
      requestId: 'tid-1',
    });
    const { last } = linesOf((log) =>
      log.warn(
        { connectionId: 'c1', attempts: 3, err: new IntegrationError(cause), at: new Date(0) },
        'call failed',
      ),
    );
    expect(last).toMatchObject({
      level: 'warn',
      msg: 'call failed',
      connectionId: 'c1',
      attempts: 3,
      at: '1970-01-01T00:00:00.000Z',
      err: {
        type: 'IntegrationError',
        message: 'Slow down.',
        problem: { code: 'RATE_LIMITED', retryAfterSeconds: 60, requestId: 'tid-1' },
      },
    });
  });

  it('survives an object that refers to itself', () => {
    const loop: Record<string, unknown> = { connectionId: 'c1' };
    loop.self = loop;
    const { last } = linesOf((log) => log.info(loop, 'round'));
    expect(last).toMatchObject({ connectionId: 'c1', msg: 'round' });
  });
});
