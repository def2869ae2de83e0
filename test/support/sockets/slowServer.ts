/**
 * A process that serves subscriptions and nothing else; run by slow.ts. Messages in: how many events to append, or
 * `memory`. Messages out: `{ port, authorization }`, then figures.
 */
import { WebSocketServer, type WebSocket } from 'ws';
import { migrate } from '../../../src/db/migrate.ts';
import { openDatabase } from '../../../src/db/database.ts';
import { usualLimits } from '../../../src/guard/limits.ts';
import { sharedNow } from '../../bench/subscriptionProtocol.ts';
import { openEdge } from '../../subscriptions/support.ts';

const [databaseUrl] = process.argv.slice(2) as [string];

/** The server's ends of all sockets: how much waits in each. */
const sockets = new Set<WebSocket>();
const upgrade = WebSocketServer.prototype.handleUpgrade;
WebSocketServer.prototype.handleUpgrade = function watched(request, socket, head, done) {
  upgrade.call(this, request, socket, head, (ready, of) => {
    sockets.add(ready);
    ready.once('close', () => sockets.delete(ready));
    done(ready, of);
  });
};
let mostBuffered = 0;
setInterval(() => {
  for (const { bufferedAmount } of sockets) mostBuffered = Math.max(mostBuffered, bufferedAmount);
}, 20).unref();

const edge = await openEdge(
  async (options) => {
    const database = await openDatabase({ poolSize: 5, ...options, databaseUrl, dataDir: '' });
    await migrate(database);
    return database;
  },
  {
    limits: { ...usualLimits, aliases: 300 },
    subscriptions: { callbackOrigins: undefined, perAccount: 2_000, total: 20_000 },
  },
);
const account = await edge.account('acme');
process.on('message', (message) => {
  void (async () => {
    const { statements, values } = edge.product;
    if (typeof message === 'number') {
      const ids = await account.append('SYNC_PROGRESSED', message);
      process.send!({ ids, at: sharedNow() });
    } else {
      for (let i = 0; i < 3; i++) {
        statements.length = values.length = 0;
        gc!();
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      const { heapUsed, external, rss } = process.memoryUsage();
      const readers = edge.product.feed.readers();
      process.send!({ heapBytes: heapUsed + external, rssBytes: rss, mostBuffered, readers });
    }
  })();
});
process.send!({ port: Number(new URL(edge.url).port), authorization: account.authorization });
