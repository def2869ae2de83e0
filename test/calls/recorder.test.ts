import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAttempt } from '../../src/calls/attempt.ts';
import type { HttpRequest } from '../../src/calls/http.ts';
import { recorded } from '../../src/calls/recorder.ts';
import { sanitized, type Recording } from '../../src/calls/sanitize.ts';
import { scriptedServer, type ScriptedServer } from '../support/httpServer.ts';

const secret = 'x7Qz-canary-0123456789';
const request = (more: Partial<HttpRequest> = {}): HttpRequest => ({
  method: 'GET',
  url: 'https://api.example/v1/things/7',
  headers: { authorization: `Bearer ${secret}`, cookie: `sid=${secret}` },
  ...more,
});
const answer = (body: unknown, headers: Record<string, string> = {}) => ({
  status: 200,
  headers: { 'content-type': 'application/json', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
const bodyOf = (body: unknown, masked: readonly string[] = []) =>
  sanitized(request(), answer(body), masked).response.body;

describe('a recording', () => {
  it.each<[string, unknown]>([
    ['tokens', { access_token: secret, refreshToken: secret, id_token: secret, data: { apiKey: secret } }],
    ['passwords', { password: secret, Passwd: [secret], credentials: { name: secret, key: secret } }],
    ['codes that let somebody in', { user_code: secret, deviceCode: secret, otp: secret }],
    ['a token in prose', { Fault: { detail: `Token expired: ${secret}` } }],
    ['a token in a URL', { next: `https://api.example/x?page=2&sig=${secret}` }],
    ['a token in JSON in text', { raw: JSON.stringify({ client_secret: secret }) }],
    ['a bearer token under any name', { echo: `Bearer ${secret}` }],
  ])('has nothing of %s', (_what, body) => {
    expect(JSON.stringify(sanitized(request(), answer(body)))).not.toContain(secret);
  });

  it.each([
    ['an e-mail address', { contact: 'jane.doe@shipper.example' }, 'jane.doe'],
    ['an e-mail address in prose', { Notes: 'ask jane.doe@shipper.example first' }, 'jane.doe'],
    ['a telephone number', { PrimaryPhone: { FreeFormNumber: '555 0134' } }, '0134'],
    ['a telephone number under any name', { Notes: '(555) 010-0134' }, '0134'],
    ['an international one', { reach: '+49 30 1234567' }, '1234567'],
    ['a social security number', { remark: '987-65-4320' }, '4320'],
    ["an employer's number", { remark: '00-1234567' }, '1234567'],
    ['a name', { DisplayName: 'Jane Doe', real_name: 'Jane Doe' }, 'Jane'],
    ['a postal address', { BillAddr: { Line1: '1 Dock Road', City: 'Omaha' } }, 'Dock'],
    ['a token of 40 characters under any name', { x: 'aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9jK2m' }, 'aB3dE6'],
    ['a JSON Web Token', { x: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc' }, 'eyJ'],
    ["a bot's token", { x: 'xoxb-1-2-abc' }, 'xoxb'],
  ])('has nothing of %s', (_what, body, part) => {
    expect(JSON.stringify(bodyOf(body))).not.toContain(part);
  });

  it('has nothing of what the provider masks, whatever it is called', () => {
    const body = { Carrier: { Number: 4711, Colour: 'blue', kept: 'yes', list: [{ colour: 'red' }] } };
    expect(bodyOf(body, ['Colour', 'NUMBER'])).toEqual({
      Carrier: { Number: 0, Colour: '[hidden]', kept: 'yes', list: [{ colour: '[hidden]' }] },
    });
  });

  it('keeps ids, times, amounts, states, what is wrong, and where the next page is', () => {
    const body = {
      ...{
        Id: '4711',
        uuid: '0b0f4a5e-6a4e-4a57-9a3e-2f2f6f7f8f90',
        TotalAmt: 12.5,
        Active: true,
        none: null,
      },
      ...{ SyncToken: '3', expires_in: 3600, token_type: 'bearer', next_page_token: 'abc', empty: '' },
      MetaData: { LastUpdatedTime: '2026-11-23T03:00:00-08:00' },
      Fault: { Error: [{ Message: 'Object Not Found', code: '610' }] },
    };
    expect(bodyOf(body)).toEqual(body);
  });

  it('keeps no header of the request and few of the answer', () => {
    const recording = sanitized(
      request(),
      answer(
        {},
        { 'set-cookie': secret, 'x-account': 'acme', 'retry-after': '3', 'x-ratelimit-remaining': '9' },
      ),
    );
    expect(recording).toEqual({
      request: { method: 'GET', path: '/v1/things/7', query: {}, body: null },
      response: {
        status: 200,
        headers: { 'content-type': 'application/json', 'retry-after': '3', 'x-ratelimit-remaining': '9' },
        body: {},
      },
    });
  });

  it('hides what a token request sends', () => {
    const form = new URLSearchParams({
      ...{ grant_type: 'authorization_code', code: secret, code_verifier: secret, client_secret: secret },
      ...{ redirect_uri: 'https://us.example/callback', username: 'u', password: secret },
    });
    const { request: asked } = sanitized(request({ method: 'POST', body: form.toString() }), answer({}));
    expect(asked.body).toEqual({
      grant_type: 'authorization_code',
      ...Object.fromEntries([...form.keys()].slice(1).map((name) => [name, '[hidden]'])),
    });
  });

  it('keeps of other bodies their length alone', () => {
    expect(bodyOf(`<Fault>${secret}</Fault>`)).toBe('[37 characters]');
  });

  it('is the same for the same request at another time with another token', () => {
    const at = (time: string, token: string) =>
      sanitized(
        request({
          url: `https://api.example/query?query=${encodeURIComponent(`select * from A where T >= '${time}'`)}&since=${time}&email=${token}%40a.example`,
        }),
        answer({}),
      ).request;
    expect(at('2026-11-23T10:00:00.000Z', 'a')).toEqual(at('2027-01-01T00:00:00Z', 'b'));
  });
});

describe('the recorder', () => {
  let server: ScriptedServer;
  let directory: string;
  beforeEach(async () => {
    server = await scriptedServer();
    directory = await mkdtemp(join(tmpdir(), 'integrations-recorder-'));
  });
  afterEach(async () => {
    await server.close();
    await rm(directory, { recursive: true });
  });

  const files = async () => (await readdir(join(directory, 'acme'))).toSorted();
  const read = async (name: string) =>
    JSON.parse(await readFile(join(directory, 'acme', name), 'utf8')) as Recording;
  const opened = (into = directory, onTrouble?: (error: unknown) => void) =>
    recorded(
      createAttempt(2_000),
      into,
      (url) => (url.startsWith(server.url) ? { integration: 'acme', masked: [] } : undefined),
      onTrouble,
    );
  const send = (attempt: ReturnType<typeof opened>, path: string) =>
    attempt.send(request({ url: `${server.url}${path}` }), new AbortController().signal, () => undefined);

  it('writes one file for each request, with its last success, and one for each failure', async () => {
    server.script({ body: '{"n":1}' }, { status: 503, body: '{"n":2}' }, { body: '{"n":3}' }, { cut: true });
    const attempt = opened();
    for (let i = 0; i < 3; i++)
      expect(await send(attempt, '/things/7?a=1')).toMatchObject({ kind: 'answered' });
    expect(await send(attempt, '/things/8')).toMatchObject({ kind: 'failed' });
    await attempt.close();
    const [failure, success, ...others] = await files();
    expect(others).toEqual([]);
    expect(success).toMatch(/^get-things-7-[\da-f]{8}\.json$/);
    expect(failure).toBe(success!.replace('.json', '-503.json'));
    expect((await read(success!)).response.body).toEqual({ n: 3 });
    expect((await read(failure!)).response).toMatchObject({ status: 503, body: { n: 2 } });
  });

  it('gives the same names when it records again', async () => {
    const names = [];
    for (const _round of [1, 2]) {
      const attempt = opened();
      await send(attempt, '/things/7');
      await attempt.close();
      names.push(await files());
    }
    expect(names[1]).toEqual(names[0]);
  });

  it('fails no call where it cannot write, and says so', async () => {
    const file = join(directory, 'a-file');
    await writeFile(file, '');
    const troubles: unknown[] = [];
    const attempt = opened(file, (error) => troubles.push(error));
    expect(await send(attempt, '/things/7')).toMatchObject({ kind: 'answered', response: { status: 200 } });
    await attempt.close();
    expect(troubles).toMatchObject([{ code: 'ENOTDIR' }]);
  });
});
