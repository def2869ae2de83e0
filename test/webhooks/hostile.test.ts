import { createHmac, randomUUID } from 'node:crypto';
import { connect as connectTcp } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { intuitScheme } from '../../src/providers/signatures.ts';
import { sign } from '../../src/webhooks/verify.ts';
import { openCore, webhookSecret, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { cloudEvents, openReceiver, type TestReceiver } from '../support/webhooks.ts';

describe.each(databaseKinds)('who posts to a webhook’s address, %s', (_kind, open) => {
  let product: TestCore;
  let receiver: TestReceiver;
  beforeAll(async () => {
    product = await openCore(open);
    receiver = await openReceiver(product);
  });
  afterAll(async () => {
    await receiver.close();
    await product.close();
  });

  const right = () => {
    const event = { id: randomUUID(), realm: 'r', entity: 'invoice', externalId: '1' };
    return Buffer.from(JSON.stringify(cloudEvents([event])));
  };

  it('cannot sign with an empty key, which an HMAC takes without a word', async () => {
    const body = right();
    const signature = createHmac('sha256', '').update(body).digest('base64');
    expect((await receiver.post('quickbooks', body, { 'intuit-signature': signature })).status).toBe(401);
  });

  it('breaks nothing, whatever is sent and rightly signed: no 5xx', { timeout: 120_000 }, async () => {
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    const texts = fc.oneof(
      fc.json(),
      fc.string({ unit: 'binary', maxLength: 400 }),
      fc.constantFrom(
        '',
        'null',
        '0',
        '[]',
        '{}',
        '[null]',
        '[[]]',
        '{"eventNotifications":[null]}',
        nested(100_000),
        nested(500),
      ),
      fc
        .record({
          id: fc.string({ unit: 'binary' }),
          source: fc.anything(),
          type: fc.constantFrom('qbo.invoice.created.v1', 'qbo.x', '\0', 'qbo.invoice'),
          intuitaccountid: fc.oneof(fc.string({ unit: 'binary' }), fc.anything()),
          intuitentityid: fc.oneof(fc.constant('1'), fc.string({ unit: 'binary' }), fc.anything()),
          time: fc.oneof(fc.string(), fc.anything()),
          data: fc.anything(),
        })
        .map(
          (event) =>
            JSON.stringify([event], (_, value: unknown) =>
              typeof value === 'bigint' ? String(value) : value,
            ) ?? '',
        ),
    );
    const seen = new Set<number>();
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        const body = Buffer.from(text);
        const { status } = await product.receiver.receive({
          integrationId: 'quickbooks',
          headers: { 'content-type': 'application/json', ...sign(intuitScheme, webhookSecret, body) },
          body,
        });
        seen.add(status);
        expect(status).toBeLessThan(500);
      }),
      { numRuns: 1_500, seed: 42 },
    );
    expect(seen.has(200)).toBe(true);
    expect(seen.has(400)).toBe(true);
  });

  it('is hung up on when sending slowly or for ever, while others go on', { timeout: 60_000 }, async () => {
    const { port } = new URL(receiver.url);
    const head = 'POST /webhooks/quickbooks HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
    const open = (text: string) => {
      const socket = connectTcp(Number(port), '127.0.0.1');
      const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
      socket.on('error', () => {});
      socket.resume().write(text);
      return { socket, closed };
    };
    const slow = [
      ...Array.from({ length: 150 }, () => open(head)),
      ...Array.from({ length: 150 }, () => open(`${head}content-length: 1000\r\n\r\n{`)),
    ];
    const endless = open(`${head}transfer-encoding: chunked\r\n\r\n`);
    const megabyte = Buffer.concat([
      Buffer.from('100000\r\n'),
      Buffer.alloc(1024 * 1024, 'x'),
      Buffer.from('\r\n'),
    ]);
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 1_024 && !endless.socket.destroyed; i++) {
      const flushed = endless.socket.write(megabyte);
      if (!flushed)
        await Promise.race([new Promise((resolve) => endless.socket.once('drain', resolve)), endless.closed]);
    }
    await endless.closed;
    expect(process.memoryUsage().rss - before).toBeLessThan(128 * 1024 * 1024);
    for (let i = 0; i < 20; i++) {
      const body = right();
      expect((await receiver.post('quickbooks', body, sign(intuitScheme, webhookSecret, body))).status).toBe(
        200,
      );
    }
    await Promise.all(slow.map(({ closed }) => closed));
  });
});
