/**
 * A process that delivers one event at a time to many WebSockets, in one of three ways; run by subscriptions.ts, which
 * speaks the same protocol to all of them. Messages in: `memory`, `emit`. Messages out: `{ port }`, figures.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomUUID } from 'node:crypto';
import { buildSchema } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer, type WebSocket } from 'ws';
import { migrate } from '../../src/db/migrate.ts';
import { openDatabase } from '../../src/db/database.ts';
import { newEvent, openEdge } from '../subscriptions/support.ts';
import { sharedNow, type Memory, type Way } from './subscriptionProtocol.ts';

/** Tells an event to all, and resolves when it is told (raw, graphql-ws) or committed (ours). */
interface Served {
  port: number;
  emit(): Promise<void>;
  /** GraphQL executions since it was last asked, where they can be counted. */
  executions?(): number;
}

const event = () => ({
  id: randomUUID(),
  cursor: 'MTIzNDU2',
  kind: 'SYNC_STARTED',
  connection: { id: randomUUID(), status: 'ACTIVE' },
});

async function listening(): Promise<{ sockets: WebSocketServer; port: number }> {
  const server = createServer();
  const sockets = new WebSocketServer({ server, path: '/graphql' });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { sockets, port: (server.address() as AddressInfo).port };
}

/** No GraphQL at all: the same text to everybody, and the handshake that the client waits for. */
async function raw(): Promise<Served> {
  const { sockets, port } = await listening();
  const all = new Set<WebSocket>();
  sockets.on('connection', (socket) => {
    all.add(socket);
    socket.once('message', () => socket.send('{"type":"connection_ack"}'));
  });
  return {
    port,
    emit() {
      const message = JSON.stringify({ id: '1', type: 'next', payload: { data: { syncEvents: event() } } });
      for (const socket of all) socket.send(message);
      return Promise.resolve();
    },
  };
}

/** As its documentation begins: a schema, and an asynchronous iterator for each subscriber. */
async function defaults(): Promise<Served> {
  const { sockets, port } = await listening();
  const waiting = new Set<(value: object) => void>();
  async function* follow() {
    for (;;) yield await new Promise<object>((resolve) => waiting.add(resolve));
  }
  const schema = buildSchema(`
    type Query { ok: Boolean }
    type Connection { id: ID! status: String! }
    type SyncEvent { id: ID! cursor: String! kind: String! connection: Connection! }
    type Subscription { syncEvents: SyncEvent! }`);
  schema.getSubscriptionType()!.getFields().syncEvents!.subscribe = follow;
  useServer({ schema }, sockets);
  return {
    port,
    emit() {
      const told = [...waiting];
      waiting.clear();
      const value = { syncEvents: event() };
      for (const tell of told) tell(value);
      return Promise.resolve();
    },
  };
}

/** The whole: the event is a row in PostgreSQL, and comes by NOTIFY. */
async function ours(databaseUrl: string): Promise<Served> {
  const edge = await openEdge(
    async (options) => {
      const database = await openDatabase({ poolSize: 10, ...options, databaseUrl, dataDir: '' });
      await migrate(database);
      return database;
    },
    { subscriptions: { callbackOrigins: undefined, perAccount: 20_000, total: 20_000 } },
  );
  const { connection } = await edge.account('acme');
  const { statements } = edge.product;
  return {
    port: Number(new URL(edge.url).port),
    async emit() {
      await edge.append('acme', [newEvent({ connectionId: connection.id })]);
    },
    // Each execution reads the connection once.
    executions() {
      const executions = statements.filter((sql) => /from "?connections"? (as )?"?c"?/.test(sql)).length;
      statements.length = 0;
      edge.product.values.length = 0;
      return executions;
    },
  };
}

const [way, databaseUrl] = process.argv.slice(2) as [Way, string];
const served = await { 'raw ws': raw, 'graphql-ws': defaults, ours }[way](databaseUrl);
process.on('message', (message) => {
  void (async () => {
    if (message === 'emit') {
      served.executions?.();
      const beganAt = sharedNow();
      await served.emit();
      process.send!({ beganAt, toldAt: sharedNow() });
    } else if (message === 'executions') process.send!({ executions: served.executions?.() ?? null });
    else {
      served.executions?.();
      for (let i = 0; i < 3; i++) {
        gc!();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      const { heapUsed, rss } = process.memoryUsage();
      process.send!({ heapBytes: heapUsed, rssBytes: rss } satisfies Memory);
    }
  })();
});
process.send!({ port: served.port });
