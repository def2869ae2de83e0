import { Agent, request as send } from 'node:http';

export interface Target {
  url: string;
}

export interface Asked {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
}

/** `refused`: nobody listened, so nothing was begun. `cut`: the line ended under a request that was sent. */
export type Told =
  { status: number; body: string; tookMs: number } | { failed: 'refused' | 'cut'; why: string };

/** Requests over lines that are kept open, none of which is ever sent twice by itself. */
export interface Wire {
  ask(target: Target, asked: Asked): Promise<Told>;
  close(): void;
}

const patienceMs = 30_000;

/** @param lines to one target at a time, at most */
export function openWire(lines: number): Wire {
  const agent = new Agent({ keepAlive: true, maxSockets: lines, maxFreeSockets: lines });
  return {
    ask: ({ url }, { method = 'POST', path, headers = {}, body = '' }) =>
      new Promise((resolve) => {
        const startedAt = performance.now();
        const fail = (error: NodeJS.ErrnoException) => {
          const refused = error.code === 'ECONNREFUSED';
          const used = (request.socket?.bytesRead ?? 0) > 0 ? 'a line used before' : 'a new line';
          const why = `${error.code ?? error.message} on ${used}`;
          resolve({ failed: refused ? 'refused' : 'cut', why });
        };
        const request = send(
          new URL(path, url),
          { method, agent, headers: { 'content-length': String(Buffer.byteLength(body)), ...headers } },
          (response) => {
            const chunks: Buffer[] = [];
            response.on('data', (chunk: Buffer) => chunks.push(chunk));
            response.on('error', fail);
            response.on('end', () => {
              const text = Buffer.concat(chunks).toString();
              resolve({ status: response.statusCode!, body: text, tookMs: performance.now() - startedAt });
            });
          },
        );
        request.setTimeout(patienceMs, () => request.destroy(new Error(`nothing for ${patienceMs} ms`)));
        request.on('error', fail);
        request.end(body);
      }),
    close: () => agent.destroy(),
  };
}

export function graphql(query: string, variables: object, headers: Record<string, string>): Asked {
  return {
    path: '/graphql',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  };
}
