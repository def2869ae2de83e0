import { randomUUID } from 'node:crypto';
import { createServer, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket } from 'ws';
import type { Ledger, Place, SeenEvent } from './ledger.ts';
import { graphql, type Target, type Wire } from './wire.ts';

export const following =
  'subscription ($after: String) { syncEvents(after: $after) { id cursor kind record { externalId } } }';

export interface Follower {
  accountId: string;
  headers: Record<string, string>;
}

/** Who follows `syncEvents`, over each of the protocols, and comes back with their cursor when they are sent away. */
export interface Followers {
  socket(follower: Follower): void;
  stream(follower: Follower): void;
  /** As Apollo Router does it, whose part the address of `openRouter` plays. */
  callback(follower: Follower): Promise<void>;
  /** They come back no more. */
  stay(away: boolean): void;
  /** How they were ended: close codes, `complete` or `cut`. */
  ends: {
    sockets: Record<string, number>;
    streams: Record<string, number>;
    callbacks: Record<string, number>;
  };
  /** Those that are there now, and know it. */
  present(): { sockets: number; streams: number; callbacks: number };
  /** Not from us: what a server said against a good follower. */
  wrong: string[];
  close(): void;
}

export interface Router {
  origin: string;
  posted(id: string, take: (message: Posted) => void): void;
  close(): void;
}

interface Posted {
  action: string;
  payload?: { data?: { syncEvents?: SeenEvent } };
}

/** Where callbacks are posted: needed before there is anybody who posts. */
export async function openRouter(): Promise<Router> {
  const takers = new Map<string, (message: Posted) => void>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const message = JSON.parse(Buffer.concat(chunks).toString()) as Posted & { id: string };
      takers.get(message.id)?.(message);
      response
        .writeHead(takers.has(message.id) ? 204 : 404, { 'subscription-protocol': 'callback/1.0' })
        .end();
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    posted: (id, take) => void takers.set(id, take),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

export function createFollowers(deps: {
  ledger: Ledger;
  router: Router;
  wire: Wire;
  pick: () => Target;
  random: () => number;
}): Followers {
  const { ledger, router, wire, pick, random } = deps;
  const ends: Followers['ends'] = { sockets: {}, streams: {}, callbacks: {} };
  const present = { sockets: new Set<object>(), streams: new Set<object>(), callbacks: new Set<object>() };
  const wrong: string[] = [];
  const open = new Set<{ destroy(): void }>();
  let away = false;
  let closed = false;
  const note = (of: keyof typeof ends, how: string | number) => (ends[of][how] = (ends[of][how] ?? 0) + 1);
  const again = (come: () => void) => void setTimeout(() => !away && !closed && come(), 100 + random() * 400);
  const saw = (place: Place, payload: Posted['payload']) => {
    const event = payload?.data?.syncEvents;
    if (event) place.saw(event);
    else wrong.push(`an answer without an event: ${JSON.stringify(payload).slice(0, 200)}`);
  };

  const socket = (follower: Follower, place = ledger.follower(follower.accountId)) => {
    const address = `${pick().url.replace('http', 'ws')}/graphql`;
    const line = new WebSocket(address, 'graphql-transport-ws', { perMessageDeflate: false });
    const own = { destroy: () => line.terminate() };
    open.add(own);
    let opened = false;
    line.on('error', () => {});
    line.on('open', () => {
      opened = true;
      line.send(JSON.stringify({ type: 'connection_init', payload: follower.headers }));
    });
    line.on('message', (data: Buffer) => {
      const { type, payload } = JSON.parse(data.toString()) as { type: string; payload?: Posted['payload'] };
      if (type === 'connection_ack') {
        present.sockets.add(own);
        const variables = { after: place.cursor() };
        line.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: following, variables } }));
      } else if (type === 'next') saw(place, payload);
      else if (type === 'error' || type === 'complete')
        wrong.push(`a socket was told ${data.toString().slice(0, 200)}`);
    });
    line.on('close', (code) => {
      open.delete(own);
      present.sockets.delete(own);
      // Of one that never opened there was nobody at the other end, or somebody who goes away.
      if (opened && !closed) note('sockets', code);
      again(() => socket(follower, place));
    });
  };

  const stream = (follower: Follower, place = ledger.follower(follower.accountId)) => {
    const { headers, body } = graphql(following, { after: place.cursor() }, follower.headers);
    let text = '';
    let how = 'cut';
    const request = send(new URL('/graphql/stream', pick().url), { method: 'POST', headers }, (response) => {
      if (response.statusCode !== 200) how = String(response.statusCode);
      else present.streams.add(own);
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        const parts = (text + chunk).split('\n\n');
        text = parts.pop()!;
        for (const part of parts) {
          const data = /^data: (.*)$/m.exec(part)?.[1];
          if (part.startsWith('event: next')) saw(place, JSON.parse(data!) as Posted['payload']);
          else if (part.startsWith('event: complete')) how = 'complete';
        }
      });
      response.on('error', () => {});
      response.on('close', () => ended(true));
    });
    const own = { destroy: () => request.destroy() };
    let over = false;
    const ended = (answered: boolean) => {
      if (over) return;
      over = true;
      open.delete(own);
      present.streams.delete(own);
      // 503: of one that goes away.
      if (answered && how !== '503' && !closed) note('streams', how);
      again(() => stream(follower, place));
    };
    open.add(own);
    request.on('error', () => ended(false));
    request.end(body);
  };

  const callback = async (follower: Follower, place = ledger.follower(follower.accountId)): Promise<void> => {
    const id = randomUUID();
    const own = {};
    router.posted(id, ({ action, payload }) => {
      if (action === 'next') saw(place, payload);
      if (action !== 'complete' || closed) return;
      present.callbacks.delete(own);
      note('callbacks', 'complete');
      again(() => void callback(follower, place));
    });
    const extensions = {
      subscription: {
        callbackUrl: `${router.origin}/${id}`,
        subscriptionId: id,
        verifier: id,
        heartbeatIntervalMs: 5_000,
      },
    };
    const told = await wire.ask(pick(), {
      path: '/graphql',
      headers: {
        ...{ 'content-type': 'application/json', accept: 'application/json;callbackSpec=1.0' },
        ...follower.headers,
      },
      body: JSON.stringify({ query: following, variables: { after: place.cursor() }, extensions }),
    });
    if ('status' in told && told.status === 200) present.callbacks.add(own);
    else again(() => void callback(follower, place));
  };

  return {
    socket: (follower) => socket(follower),
    stream: (follower) => stream(follower),
    callback: (follower) => callback(follower),
    stay: (isAway) => void (away = isAway),
    ends,
    present: () => ({
      sockets: present.sockets.size,
      streams: present.streams.size,
      callbacks: present.callbacks.size,
    }),
    wrong,
    close() {
      closed = true;
      for (const line of open) line.destroy();
    },
  };
}
