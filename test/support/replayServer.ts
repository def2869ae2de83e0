/**
 * Answers as providers did when they were recorded (`RECORD_DIR`), over real HTTP. A request is known by its method,
 * path, query and body, sanitised as the recorder does it: tokens, times and persons make no difference.
 *
 *   const replay = await replayServer([fixturesOf('slack')]);
 *   ... createCatalog([{ provider: slack, endpoints: { apiUrl: `${replay.url}/slack/api`, ... } }])
 *   expect(replay.unknown).toEqual([]);
 */
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { HttpRequest } from '../../src/calls/http.ts';
import { sanitizedRequest, type RecordedRequest, type Recording } from '../../src/calls/sanitize.ts';

export interface ReplayServer {
  url: string;
  /** Method, path, query and body of every request that no recording answers; each was answered with 500. */
  unknown: string[];
  /** How many were answered. */
  answered(): number;
  close(): Promise<void>;
}

export const fixturesOf = (integration: string): string =>
  fileURLToPath(new URL(`../fixtures/recorded/${integration}`, import.meta.url));

export async function recordingsIn(directory: string): Promise<Recording[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.json')).toSorted();
  return Promise.all(
    names.map(async (name) => JSON.parse(await readFile(join(directory, name), 'utf8')) as Recording),
  );
}

/** @param masked names whose values the recorder hid beside its own: all that the provider masks */
export async function replayServer(
  directories: readonly string[],
  masked: readonly string[] = [],
): Promise<ReplayServer> {
  const known = new Map<string, Recording>();
  for (const recording of (await Promise.all(directories.map(recordingsIn))).flat()) {
    const key = keyOf(recording.request);
    const other = known.get(key);
    // A failure passed: where there is a success too, that is the answer.
    if (!other || other.response.status >= 300) known.set(key, recording);
  }
  const unknown: string[] = [];
  let answered = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const asked: HttpRequest = {
        method: request.method as HttpRequest['method'],
        url: `http://replay${request.url}`,
        headers: {},
        body: Buffer.concat(chunks).toString(),
      };
      const key = keyOf(sanitizedRequest(asked, masked));
      const recording = known.get(key);
      if (!recording) {
        unknown.push(key);
        return response
          .writeHead(500, { 'content-type': 'application/json' })
          .end(JSON.stringify({ error: `not recorded: ${key}` }));
      }
      answered++;
      const { status, headers, body } = recording.response;
      const isText = typeof body === 'string' && !/json/.test(headers['content-type'] ?? '');
      response.writeHead(status, headers).end(isText || body === '' ? body : JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    unknown,
    answered: () => answered,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Readable, for it is what an unknown request is named by; members of query and body in any order. */
function keyOf({ method, path, query, body }: RecordedRequest): string {
  const search = Object.entries(query).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const sent = body === null ? '' : ` ${JSON.stringify(sorted(body))}`;
  return `${method} ${path}${search.length > 0 ? ` ${JSON.stringify(search)}` : ''}${sent}`;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  );
}
