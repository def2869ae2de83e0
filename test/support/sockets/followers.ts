/**
 * A process full of subscribers of one server; run by slow.ts. Messages in: `{ pause: true }` and the like. Messages out:
 * `{ ready }`, and for each batch of events when the last subscriber had it.
 */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { sharedNow } from '../../bench/subscriptionProtocol.ts';

export interface Followers {
  port: number;
  authorization: string;
  count: number;
  query: string;
  /** They read no more once they have subscribed. */
  paused: boolean;
}

const { port, authorization, count, query, paused } = JSON.parse(process.argv[2]!) as Followers;
const arrivals: [id: string, at: number][] = [];
const closes: Record<string, number> = {};
const sockets: WebSocket[] = [];
const open = async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws', {
    perMessageDeflate: false,
  });
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }));
  await once(socket, 'message');
  socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query } }));
  if (paused) socket.pause();
  else
    socket.on('message', (message: Buffer) => {
      if (message.length > 1_024) return;
      const found = /"id":"([\da-f-]{36})"/.exec(message.toString());
      if (found) arrivals.push([found[1]!, sharedNow()]);
    });
  socket.on('close', (code, reason) => {
    const key = `${code} ${reason.toString().replace(/after .*/, 'after …')}`;
    closes[key] = (closes[key] ?? 0) + 1;
  });
  sockets.push(socket);
};
while (sockets.length < count)
  await Promise.all(Array.from({ length: Math.min(50, count - sockets.length) }, open));
process.on('message', (message) => {
  if (message === 'resume') for (const socket of sockets) socket.resume();
  process.send!({ arrivals: message === 'arrivals' ? arrivals.splice(0) : [], closes });
});
process.on('disconnect', () => process.exit(0));
process.send!({ ready: true });
