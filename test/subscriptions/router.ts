import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { everything, type Result } from './support.ts';

export interface Posted {
  path: string;
  protocol: string | undefined;
  body: {
    kind: string;
    action: string;
    id: string;
    verifier: string;
    payload?: Result;
    errors?: Result['errors'];
  };
}

/** What a router does with callbacks: notes them, and answers each as `answers` says. */
export interface Router {
  url: string;
  posted: Posted[];
  /** Requests at one time, at most. */
  most: number;
  /** The status for a message; a string is the address of a redirect, a number of ms below 0 a delay. */
  answer: (posted: Posted) => number | string | Promise<number>;
  close(): Promise<void>;
}

export async function openRouter(): Promise<Router> {
  let now = 0;
  const server: Server = createServer((request, response) => {
    let text = '';
    now++;
    router.most = Math.max(router.most, now);
    request.on('data', (chunk) => (text += String(chunk)));
    request.on('end', () => {
      const protocol = request.headers['subscription-protocol'] as string | undefined;
      const body = JSON.parse(text) as Posted['body'];
      const posted = { path: request.url!, protocol, body };
      router.posted.push(posted);
      void Promise.resolve(router.answer(posted)).then((status) => {
        now--;
        if (typeof status === 'string') response.writeHead(302, { location: status });
        else response.writeHead(status, { 'subscription-protocol': 'callback/1.0' });
        response.end();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const router: Router = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`,
    posted: [],
    most: 0,
    answer: usual,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return router;
}

const usual: Router['answer'] = ({ body }) => (body.action === 'check' ? 204 : 200);

export const accept = 'application/json;callbackSpec=1.0, application/json';

/** What the router asks; `more` changes `extensions.subscription`. */
export function asked(router: Router, query = everything, more: object = {}, variables: object = {}) {
  const id = randomUUID();
  return {
    query,
    variables,
    extensions: {
      subscription: {
        callbackUrl: `${router.url}/${id}`,
        subscriptionId: id,
        verifier: 'a verifier',
        heartbeatIntervalMs: 0,
        ...more,
      },
    },
  };
}
