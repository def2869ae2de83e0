import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startProduct, type Product } from '../support/product.ts';
import { settledFigures } from '../support/sockets/memory.ts';
import { openSilent } from '../support/sockets/silent.ts';

describe('ten thousand sockets that say nothing, from other processes', () => {
  let product: Product;
  afterEach(async () => {
    await product.stop();
    await product.remove();
  });
  const portOf = () => Number(new URL(product.url).port);
  const addresses = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5'];

  it('are all closed within four seconds, and leave no memory behind', { timeout: 300_000 }, async () => {
    // As many seats as let all of them in.
    product = await startProduct({ SUBSCRIPTIONS_TOTAL: '40000' });
    await openSilent(portOf(), 100, addresses);
    const fresh = await settledFigures(product, 10_000);
    const waves = [];
    // What the process has grown to for so many at a time, it keeps: the last finds nothing more to take. Of the others,
    // the quickest is the one that had the machine to itself.
    for (let i = 0; i < 4; i++) {
      const report = await openSilent(portOf(), 2_500, addresses);
      waves.push({ ...report, after: await settledFigures(product, 10_000) });
    }
    process.stdout.write(`${JSON.stringify({ fresh, waves })}\n`);
    const others = waves.slice(1);
    const [before, last] = [waves.at(-2)!.after, waves.at(-1)!.after];
    for (const { opened, closes } of waves) expect([opened, closes]).toEqual([10_000, { 4408: 10_000 }]);
    expect(Math.min(...others.map(({ slowestMs }) => slowestMs))).toBeLessThan(4_000);
    expect(last.heapMiB).toBeLessThan(fresh.heapMiB * 1.1);
    expect(last.residentMiB).toBeLessThan(before.residentMiB * 1.1);
    expect(last.openFiles).toBeLessThan(fresh.openFiles + 20);
  });

  it(
    'take no more than their part of the seats: others are let in meanwhile',
    { timeout: 120_000 },
    async () => {
      product = await startProduct();
      const wave = openSilent(portOf(), 5_000, addresses.slice(0, 2));
      const admitted: number[] = [];
      let isOver = false;
      const report = wave.finally(() => (isOver = true));
      while (!isOver) {
        const startedAt = performance.now();
        const socket = new WebSocket(`${product.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
        await once(socket, 'open');
        socket.send(JSON.stringify({ type: 'connection_init', payload: { 'x-account-id': 'acme' } }));
        const [message] = (await once(socket, 'message')) as [Buffer];
        expect(message.toString()).toContain('connection_ack');
        admitted.push(Math.round(performance.now() - startedAt));
        socket.terminate();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      const { opened, refused, closes } = await report;
      const slowestAdmittedMs = Math.max(...admitted);
      process.stdout.write(
        `${JSON.stringify({ opened, refused, closes, admitted: admitted.length, slowestAdmittedMs })}\n`,
      );
      // Two thousand for each address at any time; those that were closed make room.
      expect(refused['HTTP/1.1 503 Service Unavailable']).toBeGreaterThan(1_000);
      expect(opened + Object.values(refused).reduce((sum, count) => sum + count)).toBe(10_000);
      expect(admitted.length).toBeGreaterThan(5);
    },
  );
});
