import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { forkNode } from './process.ts';

/** A provider in a process of its own that answers at once and notes, by its own clock, when each request arrived. */
export interface Provider {
  url: string;
  /** By path, in milliseconds of its monotonic clock, since the last time it was asked. */
  arrivals(): Promise<Record<string, number[]>>;
  stop(): void;
}

export async function startProvider(): Promise<Provider> {
  const child = forkNode(fileURLToPath(import.meta.url), ['serve']);
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (message) => resolve(message as number));
    child.once('exit', (code) => reject(new Error(`the provider ended with ${code}`)));
  });
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    arrivals: async () => (await (await fetch(`${url}/_arrivals`)).json()) as Record<string, number[]>,
    stop: () => void child.kill('SIGKILL'),
  };
}

function serve(): void {
  let arrivals = new Map<string, number[]>();
  const server = createServer((request, response) => {
    const at = performance.now();
    const path = request.url!;
    let body = '{}';
    if (path === '/_arrivals') {
      body = JSON.stringify(Object.fromEntries(arrivals));
      arrivals = new Map();
    } else {
      const times = arrivals.get(path);
      if (times) times.push(at);
      else arrivals.set(path, [at]);
    }
    request.resume();
    response.writeHead(200, { 'content-type': 'application/json' }).end(body);
  });
  server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port));
  process.on('disconnect', () => process.exit(0));
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === 'serve') serve();
