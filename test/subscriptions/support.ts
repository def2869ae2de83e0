/**
 * The product with its HTTP edge, in this process, with events appended at will.
 *
 *   const edge = await openEdge(open);              // `open` as in databaseKinds
 *   const acme = await edge.account('acme');        // with one connection
 *   await acme.append('SYNC_STARTED', 3);
 *   const { received, closed } = edge.listen(acme, 'subscription { syncEvents { id cursor } }');
 *   await edge.close();
 */
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createClient, type Client, type ClientOptions } from 'graphql-ws';
import { SignJWT } from 'jose';
import { WebSocket } from 'ws';
import { createSchema } from '../../resolvers/index.ts';
import { systemClock } from '../../src/clock.ts';
import type { Connection } from '../../src/connections/connection.ts';
import { appendEvents, type NewEvent, type SyncEventKind } from '../../src/events/events.ts';
import { createResolveIdentity } from '../../src/identity.ts';
import { createServer, type ServerOptions } from '../../src/server.ts';
import { openCore, type TestCore } from '../support/core.ts';
import type { OpenTestDatabase } from '../support/databases.ts';

export const secret = 'a shared secret of at least thirty-two bytes';
const issuer = 'https://id.example.com';

export const everything = 'subscription ($after: String) { syncEvents(after: $after) { id cursor kind } }';

/** @param seconds until the token is refused, the tolerance of a minute included */
export async function bearer(accountId: string, seconds = 3_600, key = secret): Promise<string> {
  const token = await new SignJWT({ account_id: accountId, scope: 'integrations:read integrations:write' })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuer(issuer)
    .setSubject('user-1')
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds - 60)
    .sign(new TextEncoder().encode(key));
  return `Bearer ${token}`;
}

export interface TestAccount {
  id: string;
  connection: Connection;
  authorization: string;
  /** Commits `count` events in one transaction; their ids. */
  append(kind?: SyncEventKind, count?: number, more?: Partial<NewEvent>): Promise<string[]>;
}

export interface Edge {
  product: TestCore;
  url: string;
  wsUrl: string;
  /** The account with one connection to QuickBooks. */
  account(id: string): Promise<TestAccount>;
  /** Appends events of any connection id to the account. */
  append(accountId: string, events: readonly Partial<NewEvent>[]): Promise<string[]>;
  client(authorization: string | undefined, more?: Partial<ClientOptions>): Client;
  /** Subscribes over a WebSocket of its own. */
  listen(authorization: string, query: string, variables?: Record<string, unknown>): Listening;
  post(body: object, headers?: Record<string, string>, path?: string): Promise<Response>;
  /** Resolves once so many subscriptions run, and have begun: what is appended from now on is theirs. */
  readers(count: number, withinMs?: number): Promise<void>;
  /** Ends the server alone. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

export interface Result {
  data?: any; // oxlint-disable-line typescript/no-explicit-any -- an answer's shape is what a test asserts
  errors?: { message: string; path?: unknown; extensions: { code: string } & Record<string, unknown> }[];
}

export interface Listening {
  received: Result[];
  /** Resolves once so many have come. */
  until(count: number, withinMs?: number): Promise<Result[]>;
  /** How it ended: undefined when it was completed, else what the client was told. */
  ended: Promise<unknown>;
  stop(): void;
}

export async function openEdge(
  open: OpenTestDatabase,
  settings: Partial<
    Pick<
      ServerOptions,
      | 'schema'
      | 'routerSecrets'
      | 'routerHmacSecrets'
      | 'production'
      | 'subscriptions'
      | 'resolveIdentity'
      | 'limits'
      | 'costPerSecond'
    >
  > = {},
  core: Parameters<typeof openCore>[1] = {},
): Promise<Edge> {
  const product = await openCore(open, core);
  const { clock } = product;
  const log = (await import('../../src/log.ts')).createLog('silent');
  const server = await createServer({
    schema: createSchema(),
    core: product,
    receiver: product.receiver,
    resolveIdentity: createResolveIdentity(
      { kind: 'secret', secret, accountClaim: 'account_id', issuer, audience: undefined },
      clock,
    ),
    routerSecrets: [],
    production: false,
    firstQuery: '{ __typename }',
    subscriptions: { callbackOrigins: undefined, perAccount: 1_000, total: 20_000 },
    isReady: () => Promise.resolve(true),
    metrics: { text: () => Promise.resolve({ contentType: 'text/plain', body: '' }) },
    clock,
    log,
    ...settings,
  });
  await server.listen({ host: '127.0.0.1', port: 0 });
  const { port } = server.server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const clients = new Set<Client>();
  const accounts = new Set<string>();

  const append: Edge['append'] = async (accountId, events) => {
    const whole = events.map((event) => newEvent(event));
    await product
      .forAccount(accountId)
      .transaction()
      .execute((trx) => appendEvents(trx, accountId, whole, clock));
    return whole.map(({ id }) => id!);
  };
  const edge: Edge = {
    product,
    url,
    wsUrl: `ws://127.0.0.1:${port}/graphql`,
    append,
    async account(id) {
      accounts.add(id);
      const connection = await product.connected(id);
      return {
        id,
        connection,
        authorization: await bearer(id),
        append: (kind = 'SYNC_STARTED', count = 1, more = {}) =>
          append(
            id,
            Array.from({ length: count }, () => ({
              ...{ connectionId: connection.id, generation: connection.generation, kind },
              ...more,
            })),
          ),
      };
    },
    client(authorization, more = {}) {
      const client = createClient({
        url: edge.wsUrl,
        webSocketImpl: WebSocket,
        retryAttempts: 0,
        ...(authorization !== undefined && { connectionParams: { authorization } }),
        ...more,
      });
      clients.add(client);
      return client;
    },
    listen(authorization, query, variables = {}) {
      return subscribe(edge.client(authorization), query, variables);
    },
    post: (body, headers = {}, path = '/graphql') =>
      fetch(url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }),
    async readers(count, withinMs) {
      await until(() => product.feed.readers() === count, withinMs);
      // One that asks later has begun later.
      for (const id of count > 0 ? accounts : []) await (await product.feed.follow(id, {})).return!();
    },
    stop: () => server.close(),
    async close() {
      for (const client of clients) await client.dispose();
      await server.close();
      await product.close();
    },
  };
  return edge;
}

export function newEvent(event: Partial<NewEvent>): NewEvent {
  return {
    connectionId: randomUUID(),
    integrationId: 'quickbooks',
    generation: 1,
    kind: 'SYNC_STARTED',
    source: 'POLL',
    change: null,
    userId: null,
    problem: null,
    id: randomUUID(),
    ...event,
  };
}

export function subscribe(client: Client, query: string, variables: Record<string, unknown> = {}): Listening {
  const received: Result[] = [];
  const waiting = new Set<() => void>();
  const ended = Promise.withResolvers<unknown>();
  const stop = client.subscribe(
    { query, variables },
    {
      next(result) {
        received.push(result as Result);
        for (const look of waiting) look();
      },
      error: (error) => ended.resolve(error),
      complete: () => ended.resolve(undefined),
    },
  );
  return {
    received,
    stop,
    ended: ended.promise,
    until: (count, withinMs = 10_000) => until(() => received.length >= count, withinMs).then(() => received),
  };
}

/** Looks again and again; rejects when it does not come true. */
export async function until(isSo: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const giveUpAt = Date.now() + withinMs;
  while (!(await isSo())) {
    if (Date.now() > giveUpAt) throw new Error(`not within ${withinMs} ms`);
    await systemClock.sleep(5);
  }
}

export const idsOf = (received: readonly Result[]): string[] =>
  received.map(({ data }) => data.syncEvents.id as string);

/** A stream of server-sent events, read as it comes. */
export interface Streaming {
  status: number;
  headers: Headers;
  events: { event: string; id?: string; data: string }[];
  /** Comments, as they came. */
  beats(): number;
  results(): Result[];
  until(count: number, withinMs?: number): Promise<void>;
  ended: Promise<void>;
  stop(): void;
}

export async function stream(url: string, init: RequestInit = {}): Promise<Streaming> {
  const abort = new AbortController();
  const response = await fetch(url, { ...init, signal: abort.signal });
  const events: Streaming['events'] = [];
  let beats = 0;
  const ended = (async () => {
    let rest = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body!) {
      rest = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).replaceAll('\r\n', '\n');
      const blocks = rest.split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) {
        const fields = new Map<string, string>();
        for (const line of block.split('\n')) {
          const colon = line.indexOf(':');
          if (colon === 0) beats++;
          else fields.set(line.slice(0, colon), line.slice(colon + 1).trimStart());
        }
        const [event, id, data] = ['event', 'id', 'data'].map((name) => fields.get(name));
        if (event !== undefined) events.push({ event, data: data ?? '', ...(id !== undefined && { id }) });
      }
    }
  })().catch(() => undefined);
  const nexts = () => events.filter(({ event }) => event === 'next');
  return {
    status: response.status,
    headers: response.headers,
    events,
    beats: () => beats,
    results: () => nexts().map(({ data }) => JSON.parse(data) as Result),
    until: (count, withinMs) => until(() => nexts().length >= count, withinMs),
    ended,
    stop: () => abort.abort(),
  };
}
