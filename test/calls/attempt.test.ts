import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createLineServer, type AddressInfo, type Server as LineServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Lookup } from '../../src/calls/addresses.ts';
import { createAttempt, judge, maxResponseBytes, timedOut, type Attempt } from '../../src/calls/attempt.ts';
import type { HttpRequest } from '../../src/calls/http.ts';

const open: { attempt?: Attempt; server?: Server | LineServer } = {};
afterEach(async () => {
  await open.attempt?.close();
  if (open.server && 'closeAllConnections' in open.server) open.server.closeAllConnections();
  open.server?.close();
  delete open.attempt;
  delete open.server;
});

const attempts = (lookup?: Lookup, timeoutMs = 5_000) => (open.attempt = createAttempt(timeoutMs, lookup));
const portOf = async (server: Server | LineServer) => {
  open.server = server;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
};
const served = async (listener: RequestListener) =>
  `http://127.0.0.1:${await portOf(createServer(listener))}/`;
const request = (url: string, more: Partial<HttpRequest> = {}): HttpRequest => ({
  ...{ method: 'GET', url, headers: {} },
  ...more,
});
const send = (attempt: Attempt, url: string, more: Partial<HttpRequest> = {}, timeoutMs?: number) =>
  attempt.send(request(url, more), new AbortController().signal, () => undefined, timeoutMs);

describe('an attempt', () => {
  it('sends the body that it is given, and joins headers that come twice', async () => {
    const url = await served((asked, response) => {
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      asked.pipe(response);
    });
    expect(await send(attempts(), url, { method: 'POST', body: 'the body' })).toMatchObject({
      kind: 'answered',
      response: { status: 200, body: 'the body', headers: { 'set-cookie': 'a=1, b=2' } },
    });
  });

  it('keeps its line for the next', async () => {
    const lines = new Set<unknown>();
    const url = await served((asked, response) => {
      lines.add(asked.socket);
      response.end();
    });
    const attempt = attempts();
    for (let i = 0; i < 3; i++) {
      await send(attempt, url);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(lines.size).toBe(1);
  });

  it('tells when its first byte leaves, not before', async () => {
    const url = await served((_, response) => response.end());
    let sent = 0;
    const attempt = attempts();
    await attempt.send(request(url), new AbortController().signal, () => sent++);
    expect(sent).toBe(1);
    await attempt.send(request('http://127.0.0.1:1/'), new AbortController().signal, () => sent++);
    expect(sent).toBe(1);
  });

  it('ends with its signal’s reason, and says nothing of the provider where the request is none', async () => {
    const url = await served(() => undefined);
    const leaving = new AbortController();
    const sending = attempts().send(request(url), leaving.signal, () => leaving.abort(new Error('left')));
    await expect(sending).rejects.toThrow('left');
    await expect(send(open.attempt!, url, { headers: { 'no header': 'x' } })).rejects.toThrow(/header/);
  });

  it('is waited for when everything closes', async () => {
    const url = await served((_, response) => setTimeout(() => response.end('late'), 200));
    const attempt = attempts();
    const ends: string[] = [];
    const sending = send(attempt, url).then(({ kind }) => ends.push(kind));
    await new Promise((resolve) => setTimeout(resolve, 50));
    delete open.attempt;
    await attempt.close().then(() => ends.push('closed'));
    await sending;
    expect(ends).toEqual(['answered', 'closed']);
  });
});

describe('an attempt that fails', () => {
  it.each([
    'ECONNREFUSED',
    'ENOTFOUND',
    'EAI_AGAIN',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'CERT_HAS_EXPIRED',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  ])('by %s before its first byte has done nothing', async (code) => {
    const failing: Lookup = (_host, _options, callback) =>
      callback(Object.assign(new Error('failed'), { code }), []);
    expect(await send(attempts(failing), 'http://name.example/')).toEqual({
      ...{ kind: 'failed', code: 'NETWORK_ERROR', message: 'The line to the provider failed.', sent: false },
    });
  });

  it.each([
    ['another code', { code: 'ECONNRESET' }, true],
    ['a cause', { cause: Object.assign(new Error('inner'), { code: 'ENOTFOUND' }) }, false],
    ['a cause that says nothing', { cause: new Error('inner') }, true],
    ['no code', {}, true],
  ])('by %s is judged by that', async (_, details, sent) => {
    const failing: Lookup = (_host, _options, callback) =>
      callback(Object.assign(new Error('failed'), details), []);
    expect(await send(attempts(failing), 'http://name.example/')).toMatchObject({ sent });
  });

  it('at each of several addresses has done nothing', async () => {
    const two: Lookup = (_host, _options, callback) =>
      callback(null, [
        { address: '127.0.0.1', family: 4 },
        { address: '::1', family: 6 },
      ]);
    expect(await send(attempts(two), 'http://name.example:1/')).toMatchObject({
      code: 'NETWORK_ERROR',
      sent: false,
    });
  });

  it('to connect in time has done nothing', async () => {
    const never: Lookup = () => undefined;
    expect(await send(attempts(never, 200), 'http://name.example/')).toEqual({
      ...{
        kind: 'failed',
        code: 'TIMEOUT',
        message: 'The provider could not be reached in time.',
        sent: false,
      },
    });
  });

  it.each<[string, RequestListener]>([
    ['an answer', () => undefined],
    ['the rest of one', (_, response) => void response.writeHead(200).write('half')],
  ])('to get %s in its own time may have done something', async (_, listener) => {
    const url = await served(listener);
    expect(await send(attempts(undefined, 60_000), url, {}, 200)).toEqual({
      ...{ kind: 'failed', code: 'TIMEOUT', message: 'The provider did not answer in time.', sent: true },
    });
  });

  const unreadable = {
    ...{ kind: 'failed', code: 'PROVIDER_ERROR', message: 'The provider answered what cannot be read.' },
    sent: true,
  };
  it('because the answer is too long may have done something', async () => {
    expect(maxResponseBytes).toBe(8_388_608);
    const url = await served((_, response) => response.end('x'.repeat(maxResponseBytes + 1)));
    expect(await send(attempts(), url)).toEqual(unreadable);
  });

  it('because the answer is none may have done something', async () => {
    const port = await portOf(createLineServer((line) => void line.end('no HTTP at all\r\n\r\n')));
    expect(await send(attempts(), `http://127.0.0.1:${port}/`)).toEqual(unreadable);
  });

  it('because its line was cut may have done something', async () => {
    const url = await served((asked) => void asked.socket.destroy());
    expect(await send(attempts(), url)).toMatchObject({ code: 'NETWORK_ERROR', sent: true });
  });

  it('to go where it may not has done nothing, and says why', async () => {
    const inside: Lookup = (_host, _options, callback) =>
      callback(null, [{ address: '10.0.0.1', family: 4 }]);
    expect(await send(attempts(inside), 'http://name.example/')).toEqual({
      ...{ kind: 'failed', code: 'NOT_CONFIGURED', sent: false },
      message: 'The address of this integration leads to a network that we do not call.',
    });
  });
});

describe('judge', () => {
  const response = { status: 200, headers: {}, body: '' };
  const fault = { code: 'CONFLICT', message: 'no' } as const;

  it('takes a failure as it is, and asks what an answer means', () => {
    expect(judge(timedOut, () => expect.unreachable(), 0)).toEqual({
      ...{ fault: { code: 'TIMEOUT', message: 'The provider did not answer in time.' } },
      ...{ response: undefined, sent: true },
    });
    expect(judge({ kind: 'answered', response }, () => fault, 0)).toEqual({ fault, response, sent: true });
    expect(judge({ kind: 'answered', response }, () => undefined, 0)).toEqual({ fault: undefined, response });
  });
});
