import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A provider that does what the test says, request by request. */
export interface ScriptedServer {
  url: string;
  host: string;
  /** What has arrived, oldest first. */
  requests: { method: string; url: string; headers: IncomingMessage['headers']; at: number }[];
  /** Answers the next requests in this order; the last one answers all that follow. */
  script(...steps: Step[]): void;
  close(): Promise<void>;
}

export type Step = number | StepDetails | ((request: IncomingMessage, response: ServerResponse) => void);
interface StepDetails {
  status?: number;
  headers?: Record<string, string>;
  body?: string;
  /** Cuts the line instead of answering. */
  cut?: boolean;
  /** Never answers. */
  silent?: boolean;
}

export async function scriptedServer(): Promise<ScriptedServer> {
  let steps: Step[] = [200];
  const requests: ScriptedServer['requests'] = [];
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    requests.push({ method, url, headers, at: performance.now() });
    const step = steps.length > 1 ? steps.shift()! : steps[0]!;
    request.resume().on('end', () => {
      if (typeof step === 'function') return step(request, response);
      const {
        status = 200,
        headers: more = {},
        body = '{}',
        cut,
        silent,
      } = typeof step === 'number' ? { status: step } : step;
      if (cut) return request.socket.destroy();
      if (silent) return;
      response.writeHead(status, { 'content-type': 'application/json', ...more }).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `http://${host}`,
    host,
    requests,
    script: (...next) => void (steps = next),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export interface AnsweringServer {
  url: string;
  close(): Promise<void>;
}

export interface Answer {
  status: number;
  body: object;
}

export interface Asked {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
}

/** A provider that answers in JSON what the function says of each request. */
export async function answeringServer(
  answer: (request: Asked) => Answer | Promise<Answer>,
): Promise<AnsweringServer> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request;
      void Promise.resolve(answer({ method, path, headers, body })).then((given) => {
        response.writeHead(given.status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(given.body));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
