import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { consent, visit } from './support/browser.ts';
import { emptyPostgresUrl } from './support/databases.ts';
import { runMain, startProduct, type Product } from './support/product.ts';
import { tcpProxy } from './support/tcpProxy.ts';

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const slowQuery = '{ connections { profile { name } } }';
const post = (path: string, query: string) => {
  const body = JSON.stringify({ query });
  return `POST ${path} HTTP/1.1\r\nhost: x\r\nx-account-id: demo\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
};

// A start, a consent and a slow provider: on a machine that has other work to do they take their time.
describe('a process that is told to stop', { timeout: 120_000 }, () => {
  let product: Product;
  const sockets = new Set<Socket>();
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    await product?.stop('SIGKILL');
    await product?.remove();
  });

  const open = async () => {
    const socket = connect(Number(new URL(product.url).port), '127.0.0.1');
    sockets.add(socket);
    socket.on('error', () => {});
    let text = '';
    socket.on('data', (data) => (text += String(data)));
    const closed = once(socket, 'close');
    await once(socket, 'connect');
    return { socket, text: () => text, closed };
  };
  /** With a company whose profile takes its provider so long. */
  const startConnected = async (delayMs: number, settings: Record<string, string> = {}) => {
    product = await startProduct(settings);
    const { data } = await product.graphql(
      'mutation { connect(input: { integrationId: "quickbooks" }) { authorizationUrl } }',
    );
    const { pathname, search } = new URL(await consent(data.connect.authorizationUrl));
    await visit(product.url + pathname + search);
    await fetch(`${product.sandboxUrl}/_admin/faults`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ delayMs, match: { pathContains: 'companyinfo' } }),
    });
  };
  const asked = async () => {
    const answer = await fetch(`${product.sandboxUrl}/_admin/requests`);
    return JSON.stringify(await answer.json()).split('companyinfo').length;
  };
  /** Once the provider has been asked anew. */
  const underWay = async (ask: () => void) => {
    const before = await asked();
    ask();
    await expect.poll(async () => (await asked()) > before, { timeout: 30_000 }).toBe(true);
  };

  it('answers what is under way, over every protocol, and says that nothing more is to come', async () => {
    await startConnected(1_500);
    const line = await open();
    const stream = await open();
    const socket = new WebSocket(product.url.replace('http', 'ws') + '/graphql', 'graphql-transport-ws');
    const messages: { type: string; payload?: { data: unknown } }[] = [];
    socket.on('message', (data: Buffer) => messages.push(JSON.parse(data.toString())));
    const closed = once(socket, 'close');
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init', payload: { 'x-account-id': 'demo' } }));
    await expect.poll(() => messages.length).toBe(1);
    await underWay(() => {
      line.socket.write(post('/graphql', slowQuery));
      stream.socket.write(post('/graphql/stream', slowQuery));
      socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: slowQuery } }));
    });
    const exited = product.stop();
    await Promise.all([line.closed, stream.closed]);
    expect(line.text()).toMatch(/^HTTP\/1\.1 200 [^]*\r\nconnection: close\r\n[^]*"profile":\{"name":"/i);
    expect(stream.text()).toMatch(
      /event: next\ndata: \{"data":\{"connections":\[\{"profile":\{"name":"[^]*event: complete/,
    );
    expect((await closed)[0]).toBe(1001);
    expect(messages[1]).toMatchObject({
      type: 'next',
      payload: { data: { connections: [{ profile: {} }] } },
    });
    expect(await exited).toBe(0);
  });

  it('is not ready any more while it still takes requests, for as long as it is set to', async () => {
    product = await startProduct({ DRAIN_DELAY_SECONDS: '3' });
    const exited = product.stop();
    await expect.poll(async () => (await fetch(`${product.url}/readyz`)).status).toBe(503);
    expect((await product.graphql('{ __typename }')).status).toBe(200);
    expect(await exited).toBe(0);
  });

  it('ends at once when it is told twice', async () => {
    await startConnected(30_000);
    const line = await open();
    await underWay(() => line.socket.write(post('/graphql', slowQuery)));
    const exited = product.stop();
    await expect.poll(() => product.output(), { timeout: 10_000 }).toContain('"draining"');
    const startedAt = performance.now();
    void product.stop();
    expect(await exited).toBe(1);
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  });
});

it.each([300, 600, 900, 1_200])(
  'a process that is told to stop %d ms after it was started ends in order',
  { timeout: 60_000 },
  async (afterMs) => {
    const child = runMain({
      PORT: '0',
      SANDBOX_PORT: '0',
      DATA_DIR: join(tmpdir(), `integrations-${randomUUID()}`),
    });
    await wait(afterMs);
    child.kill('SIGTERM');
    // Null: there was nothing yet that had to be ended.
    expect([0, null]).toContain(await child.exited);
    expect(child.output()).not.toMatch(/Error|\n\s+at /);
  },
);

it(
  'a process that is told to stop while it waits for its database goes no further',
  { timeout: 120_000 },
  async () => {
    const database = await emptyPostgresUrl();
    const url = new URL(database.url);
    const proxy = await tcpProxy(Number(url.port));
    url.host = `127.0.0.1:${proxy.port}`;
    const dataDir = join(tmpdir(), `integrations-${randomUUID()}`);
    const child = runMain({ PORT: '0', SANDBOX_PORT: '0', DATA_DIR: dataDir, DATABASE_URL: url.href });
    child.lines((line) => line.includes('"migrated"') && proxy.freeze());
    await expect.poll(child.output, { timeout: 60_000 }).toContain('"migrated"');
    child.kill('SIGTERM');
    await expect.poll(child.output, { timeout: 10_000 }).toContain('"draining"');
    proxy.restore();
    expect(await child.exited).toBe(0);
    expect(child.output()).not.toContain('"ready"');
    await proxy.close();
    await database.drop();
  },
);
