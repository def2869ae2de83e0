import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { intuitScheme } from '../../src/providers/signatures.ts';
import { sign } from '../../src/webhooks/verify.ts';
import type { Product } from '../support/product.ts';
import { cloudEvents } from '../support/webhooks.ts';
import { openWebhookProcesses, verifierToken, type WebhookProcesses } from '../support/webhookProcesses.ts';

/** The same in every run. */
function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('the product under abuse of its webhook addresses', { timeout: 120_000 }, () => {
  let processes: WebhookProcesses;
  let product: Product;
  let port: number;
  let pid: number;
  beforeEach(async () => {
    processes = await openWebhookProcesses('postgres');
    product = await processes.start();
    port = Number(new URL(product.url).port);
    pid = product.pid;
  });
  afterEach(() => processes.close());

  const valid = (more = {}) =>
    cloudEvents([{ id: randomUUID(), realm: 'nobody', entity: 'invoice', externalId: '41', ...more }]);
  const signedHeaders = (body: Buffer) => ({
    'content-type': 'application/json',
    ...sign(intuitScheme, verifierToken, body),
  });
  const rssMiB = async () =>
    Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
  /**
   * What it takes for one round of work beyond what it had: the least of up to four rounds. One may meet it between two
   * collections of garbage; what is held grows in each.
   */
  const leastGrowthMiB = async (work: () => Promise<void>) => {
    const grown: number[] = [];
    while (grown.length < 4 && Math.min(...grown) > 16) {
      const before = await rssMiB();
      await work();
      grown.push((await rssMiB()) - before);
    }
    return Math.min(...grown);
  };
  const post = async (body: Buffer, headers: Record<string, string>) => {
    const answer = await fetch(`${product.url}/webhooks/quickbooks`, {
      method: 'POST',
      headers,
      body: new Uint8Array(body),
    });
    await answer.arrayBuffer();
    return answer.status;
  };

  it('ends 600 lines that are slow in their headers or bodies within ten seconds, and serves the others', async () => {
    const open = new Set<Socket>();
    const slow = (start: string, rest: () => string) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(start));
      open.add(socket);
      const timer = setInterval(() => socket.writable && socket.write(rest()), 500);
      socket.on('error', () => {});
      socket.on('close', () => {
        clearInterval(timer);
        open.delete(socket);
      });
      socket.resume();
    };
    const head = 'POST /webhooks/quickbooks HTTP/1.1\r\nhost: x\r\n';
    for (let i = 0; i < 300; i++) {
      slow(head, () => 'x-a: b\r\n');
      slow(`${head}content-type: application/json\r\ncontent-length: 100000\r\n\r\n[`, () => ' ');
    }
    const statuses: number[] = [];
    const startedAt = performance.now();
    while (open.size > 0 && performance.now() - startedAt < 15_000) {
      statuses.push((await processes.tell(product, valid())).status);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const tookMs = performance.now() - startedAt;
    expect(open.size).toBe(0);
    expect(tookMs).toBeLessThan(10_000);
    expect(statuses.length).toBeGreaterThan(20);
    expect(new Set(statuses)).toEqual(new Set([200]));
  });

  it('holds back what is too much of it: a gigabyte, a compressed one, a hundred thousand brackets', async () => {
    const deep = Buffer.from('['.repeat(100_000) + ']'.repeat(100_000));
    const gzip = Buffer.alloc(1_000_000, 0x1f);
    const hold = async () => {
      const streamed = await new Promise<number | string>((resolve) => {
        const request = httpRequest(
          {
            port,
            path: '/webhooks/quickbooks',
            method: 'POST',
            headers: { 'content-type': 'application/json' },
          },
          (response) => {
            response.resume();
            resolve(response.statusCode!);
          },
        );
        request.on('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? 'error'));
        const chunk = Buffer.alloc(1024 * 1024, 0x20);
        let left = 1024;
        const write = (): void => {
          while (left-- > 0 && !request.destroyed)
            if (!request.write(chunk)) return void request.once('drain', write);
          if (!request.destroyed) request.end();
        };
        write();
      });
      // Who never stops writing may meet the end of the line before the answer.
      expect([413, 'EPIPE', 'ECONNRESET']).toContain(streamed);
      expect(await post(gzip, { ...signedHeaders(gzip), 'content-encoding': 'gzip' })).toBe(415);
      expect(await post(deep, signedHeaders(deep))).toBe(400);
    };
    // What a process that has never had a long body gets ready for it, it keeps.
    for (let i = 0; i < 10; i++) await hold();
    const fiveTimes = async () => {
      for (let i = 0; i < 5; i++) await hold();
    };
    expect(await leastGrowthMiB(fiveTimes)).toBeLessThanOrEqual(16);
    expect((await processes.tell(product, valid())).status).toBe(200);
  });

  it('answers 3,000 random requests with a 4xx or what they deserve, and stays as it is', async () => {
    const random = sequence(20_261_123);
    const bytes = (length: number) => Buffer.from(Array.from({ length }, () => random(256)));
    const bodies = [
      () => bytes(random(2_000)),
      () => Buffer.from(JSON.stringify(valid())).subarray(0, random(300)),
      () => Buffer.from('[{"a":'.repeat(random(5_000))),
      () => Buffer.from(JSON.stringify(valid({ id: bytes(20).toString('latin1') }))),
      () => Buffer.from(JSON.stringify(valid()), 'utf16le'),
      () => Buffer.from(JSON.stringify(valid({ time: bytes(8).toString('latin1'), realm: random(9) }))),
      () => Buffer.from(JSON.stringify([null, [], {}, 'x', 1, true][random(6)])),
      () =>
        Buffer.from(
          '{"eventNotifications":[{"realmId":"1","dataChangeEvent":{"entities":[{"name":"Invoice","id":"1"}]}}]}',
        ),
      () => Buffer.alloc(random(3) * 600_000, 0x20),
      () =>
        Buffer.from(`[{"__proto__":{"x":1},"constructor":${random(9)},"intuitaccountid":{"toString":1}}]`),
    ];
    const paths = [
      'quickbooks',
      'slack',
      `mycarrierpackets/${randomUUID()}`,
      'mycarrierpackets/%00',
      'x',
      '%ff',
      '',
    ];
    const types = [
      'application/json',
      'application/json; charset=utf-16',
      'text/plain',
      '',
      'a',
      'application/x+json',
    ];
    const odd = ['', ' ', '=', ',', 't=1,v1=2', 'v0=', '\u00ff', 'a'.repeat(8_000)];
    const ask = async () => {
      const body = bodies[random(bodies.length)]!();
      const path = paths[random(3) === 0 ? random(paths.length) : 0]!;
      const headers: Record<string, string> = {
        ...(random(3) > 0 && sign(intuitScheme, verifierToken, body)),
        ...(random(4) > 0
          ? { 'content-type': 'application/json' }
          : { 'content-type': types[random(types.length)]! }),
        ...(random(5) === 0 && { 'intuit-signature': odd[random(odd.length)]! }),
        ...(random(9) === 0 && { 'content-encoding': ['gzip', 'identity', '', 'x'][random(4)]! }),
        ...(random(9) === 0 && { 'x-slack-request-timestamp': odd[random(odd.length)]! }),
      };
      try {
        const answer = await fetch(`${product.url}/webhooks/${path}`, {
          method: 'POST',
          headers,
          body: new Uint8Array(body),
        });
        await answer.arrayBuffer();
        return answer.status;
      } catch (error) {
        // The line is cut while the sender is still writing what is too long.
        if (body.length > 1024 * 1024) return 413;
        throw error;
      }
    };
    const statuses: Record<number, number> = {};
    const round = async (count: number) => {
      for (let i = 0; i < count; i += 10)
        for (const status of await Promise.all(Array.from({ length: 10 }, ask)))
          statuses[status] = (statuses[status] ?? 0) + 1;
    };
    await round(1_500);
    const grownMiB = await leastGrowthMiB(() => round(1_500));
    expect(
      Object.keys(statuses)
        .map(Number)
        .filter((status) => status !== 200 && (status < 400 || status > 499)),
    ).toEqual([]);
    // Each of them was met.
    for (const status of [200, 400, 401, 404, 413, 415]) expect(statuses[status]).toBeGreaterThan(0);
    expect(grownMiB).toBeLessThanOrEqual(16);
    expect(product.output()).not.toContain('"level":50');
  });

  it('answers what is no HTTP at all, and what says two things at once, without a 5xx', async () => {
    const body = '[]';
    const start = 'POST /webhooks/quickbooks HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
    const requests = [
      '\0\x01\x02\r\n\r\n',
      'POST /webhooks/quickbooks\r\n\r\n',
      `${start}content-length: 2\r\ncontent-length: 3\r\n\r\n${body}`,
      `${start}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n`,
      `${start}content-length: -1\r\n\r\n${body}`,
      `${start}content-length: 99999999999999999999\r\n\r\n${body}`,
      `${start}transfer-encoding: chunked\r\n\r\nzz\r\n[]\r\n`,
      `${start}transfer-encoding: gzip, chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n`,
      `${start}intuit-signature: a\r\nintuit-signature: b\r\ncontent-length: 2\r\n\r\n${body}`,
      `${start}x: ${'y'.repeat(100_000)}\r\n\r\n`,
      `${start}expect: 200-nonsense\r\ncontent-length: 2\r\n\r\n${body}`,
    ];
    for (const text of requests) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      let answer = '';
      socket.on('data', (data) => (answer += String(data)));
      const closed = new Promise((resolve) => socket.on('close', resolve));
      socket.end(text, 'latin1');
      await closed;
      expect([text.slice(0, 60), /^HTTP\/1\.1 (\d)/.exec(answer)?.[1] ?? '4']).toEqual([
        text.slice(0, 60),
        '4',
      ]);
    }
    expect((await processes.tell(product, valid())).status).toBe(200);
  });
});
