import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAttempt } from '../../src/calls/attempt.ts';
import type { HttpRequest } from '../../src/calls/http.ts';
import { recorded } from '../../src/calls/recorder.ts';
import type { Recording } from '../../src/calls/sanitize.ts';
import { scriptedServer, type ScriptedServer } from '../support/httpServer.ts';

const request = (url: string): HttpRequest => ({ method: 'GET', url, headers: {} });

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
    attempt.send(request(`${server.url}${path}`), new AbortController().signal, () => undefined);

  it('writes one file for each request, with its last success, and one for each failure', async () => {
    server.script(
      { body: '{"n":1}' },
      { status: 503, body: '{"n":2}' },
      { body: '{"n":3}' },
      { cut: true },
      {},
    );
    const troubles: unknown[] = [];
    const attempt = opened(directory, (error) => troubles.push(error));
    for (let i = 0; i < 3; i++)
      expect(await send(attempt, '/things/7?a=1')).toMatchObject({ kind: 'answered' });
    expect(await send(attempt, '/things/8')).toMatchObject({ kind: 'failed' });
    // Of whom nobody says what is personal.
    const another = request(`${server.url.replace('127.0.0.1', 'localhost')}/things/9`);
    expect(await attempt.send(another, new AbortController().signal, () => undefined)).toMatchObject({
      kind: 'answered',
    });
    await attempt.close();
    expect(troubles).toEqual([]);
    const [failure, success, ...others] = await files();
    expect(others).toEqual([]);
    expect(success).toMatch(/^get-things-7-[\da-f]{8}\.json$/);
    expect(failure).toBe(success!.replace('.json', '-503.json'));
    expect((await read(success!)).response.body).toEqual({ n: 3 });
    expect((await read(failure!)).response).toMatchObject({ status: 503, body: { n: 2 } });
  });

  it('names a file by its request, at a length that every disk takes', async () => {
    server.script({}, { status: 300 });
    const attempt = opened();
    await send(attempt, `/a//b/${'long/'.repeat(100)}`);
    await send(attempt, '/a');
    await attempt.close();
    expect(await files()).toEqual([
      expect.stringMatching(/^get-a-[\da-f]{8}-300\.json$/),
      expect.stringMatching(/^get-a-b-long-(?=.{71}-)[long-]+-[\da-f]{8}\.json$/),
    ]);
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
