import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startProduct, type Product } from '../support/product.ts';
import { figuresOf } from '../support/sockets/memory.ts';
import { openSilent } from '../support/sockets/silent.ts';

/** See test/chaos for ten thousand. */
describe('three hundred sockets of one address that say nothing', () => {
  let product: Product;
  beforeAll(async () => {
    product = await startProduct({ SUBSCRIPTIONS_TOTAL: '1000' });
  });
  afterAll(async () => {
    await product?.stop();
    await product?.remove();
  });

  it('are let in up to a hundred, all closed in the end, and keep nobody out who says who they are', async () => {
    const before = await figuresOf(product);
    const silent = openSilent(Number(new URL(product.url).port), 300, ['127.0.0.2']);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const socket = new WebSocket(`${product.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init', payload: { 'x-account-id': 'acme' } }));
    const [message] = (await once(socket, 'message')) as [Buffer];
    expect(message.toString()).toContain('connection_ack');
    const { opened, refused, closes } = await silent;
    expect(refused).toEqual({ 'HTTP/1.1 503 Service Unavailable': 300 - opened });
    expect(opened).toBeGreaterThanOrEqual(100);
    expect(opened).toBeLessThan(300);
    expect(closes).toEqual({ 4408: opened });
    await expect
      .poll(async () => (await figuresOf(product)).openFiles, { timeout: 10_000 })
      .toBeLessThan(before.openFiles + 20);
    expect(socket.readyState).toBe(socket.OPEN);
    socket.terminate();
  });
});
