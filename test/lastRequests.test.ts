import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../src/clock.ts';
import { emptyQueue, takeLastRequests } from '../src/lastRequests.ts';
import { embeddedDatabase } from './support/databases.ts';
import { manualClock, type ManualClock } from './support/manualClock.ts';
import { openEdge } from './subscriptions/support.ts';

const request = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';

async function openLine(port: number) {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (data) => (text += String(data)));
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  await once(socket, 'connect');
  return { socket, text: () => text, closed };
}

describe('a server that takes its last requests', () => {
  let server: Server;
  let clock: ManualClock;
  let port: number;
  const waiting: ServerResponse[] = [];
  const sockets: Socket[] = [];
  const line = async () => {
    const opened = await openLine(port);
    sockets.push(opened.socket);
    return opened;
  };
  /** One that has had an answer, and says nothing. */
  const usedLine = async () => {
    const opened = await line();
    opened.socket.write(request);
    await expect.poll(() => waiting.length).toBe(1);
    waiting.pop()!.end('first');
    await expect.poll(opened.text).toContain('first');
    return opened;
  };
  beforeEach(async () => {
    clock = manualClock();
    server = createServer((_, response) => void waiting.push(response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    waiting.length = 0;
    server.close();
  });

  it('listens no more, and answers what still comes over a line that is open', async () => {
    const { socket, text, closed } = await usedLine();
    const ended = takeLastRequests(server, 1_000, clock);
    const late = connect(port, '127.0.0.1');
    expect(await once(late, 'error')).toMatchObject([{ code: 'ECONNREFUSED' }]);
    socket.write(request);
    await expect.poll(() => waiting.length).toBe(1);
    // However long that takes.
    await clock.advance(60_000);
    waiting.pop()!.setHeader('connection', 'close').end('last');
    await closed;
    expect(text()).toContain('last');
    await ended;
  });

  it('waits no longer than three seconds for a request that does not come to its end', async () => {
    server.close();
    server = createServer({ connectionsCheckingInterval: 100 }, () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
    const { socket, text, closed } = await line();
    socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{');
    await once(server, 'request');
    const ended = takeLastRequests(server, 1_000, clock);
    await closed;
    expect(text()).toMatch(/^HTTP\/1\.1 408/);
    await ended;
  });

  it('closes a line that stays silent', async () => {
    const { socket, closed } = await usedLine();
    let gone = false;
    socket.once('close', () => (gone = true));
    const ended = takeLastRequests(server, 1_000, clock);
    await clock.advance(999);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(gone).toBe(false);
    await clock.advance(1);
    await closed;
    await ended;
  });
});

it('accepts all who have come before it listens no more', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let accepted = 0;
  server.on('connection', () => void accepted++);
  const { port } = server.address() as AddressInfo;
  const sockets = Array.from({ length: 40 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  const before = accepted;
  await emptyQueue(server, systemClock);
  server.close();
  for (const socket of sockets) socket.destroy();
  // Connecting needs no turn of the one who accepts.
  expect(before).toBeLessThan(40);
  expect(accepted).toBe(40);
});

describe('the HTTP edge that is closed', () => {
  it(
    'tells those who ask, and those who have asked, that this is the last answer',
    { timeout: 60_000 },
    async () => {
      const edge = await openEdge(embeddedDatabase, { production: true });
      const asked = 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n';
      const kept = await openLine(Number(new URL(edge.url).port));
      kept.socket.write(asked);
      await expect.poll(kept.text).toContain('alive');
      expect(kept.text()).not.toMatch(/connection: close/i);
      const before = kept.text().length;
      const stopped = edge.stop();
      kept.socket.write(asked);
      await kept.closed;
      expect(kept.text().slice(before)).toMatch(/^HTTP\/1\.1 200 [^]*connection: close[^]*alive/i);
      await stopped;
      await edge.close();
    },
  );
});
