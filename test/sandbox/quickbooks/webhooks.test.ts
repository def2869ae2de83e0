import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { intuitScheme } from '../../../src/providers/signatures.ts';
import { parseQuickBooksWebhook } from '../../../src/providers/quickbooksWebhooks.ts';
import { verify } from '../../../src/webhooks/verify.ts';
import { mainRealmId, openSandbox, otherRealmId, type TestSandbox } from '../../support/sandbox.ts';

const resources = ['Customer', 'Invoice'];

describe('the emulated QuickBooks, telling what happens', () => {
  let sandbox: TestSandbox;
  let server: Server;
  let got: { body: Buffer; signature: string | undefined; verified: boolean }[];
  let status: number;
  beforeEach(async () => {
    sandbox = await openSandbox();
    got = [];
    status = 200;
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks);
        const signature = request.headers['intuit-signature'] as string | undefined;
        const headers = { 'intuit-signature': signature };
        const verdict = verify(
          intuitScheme,
          [sandbox.quickbooks.verifierToken],
          { headers, body },
          Date.now(),
        );
        got.push({ body, signature, verified: verdict.verified });
        response.writeHead(status).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await sandbox.connect();
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    await sandbox.admin('PUT', 'quickbooks/webhook-endpoint', { url });
    await sandbox.admin('PUT', 'settings', { webhookDelayMs: 20, webhookRetryScale: 0.001 });
  });
  afterEach(async () => {
    await sandbox.close();
    await new Promise((resolve) => server.close(resolve));
  });

  const create = (name: string, realmId = mainRealmId) =>
    sandbox.admin('POST', 'records', {
      ...{ realmId, operation: 'create', entity: 'Customer' },
      record: { DisplayName: name },
    });
  /** The sandbox's clock goes on meanwhile. */
  const until = (check: () => void | Promise<void>) =>
    vi.waitFor(
      async () => {
        await sandbox.clock.advance(50);
        await check();
      },
      { timeout: 5_000, interval: 10 },
    );
  const arrived = (count: number) => until(() => expect(got).toHaveLength(count));
  const notices = (index: number) => parseQuickBooksWebhook(got[index]!.body, resources).notices;

  it.each(['cloudevents', 'legacy'])(
    'signs what it sends, in the %s form, gathered',
    async (webhookFormat) => {
      await sandbox.admin('PUT', 'settings', { webhookFormat });
      await create('One');
      await create('Two');
      await arrived(1);
      expect(got[0]!.verified).toBe(true);
      expect(notices(0)).toMatchObject([
        { kind: 'record', account: mainRealmId, resource: 'Customer', change: 'UPSERTED' },
        { kind: 'record', account: mainRealmId, resource: 'Customer', change: 'UPSERTED' },
      ]);
    },
  );

  it('tells nothing of a company that has not connected the app', async () => {
    await create('Elsewhere', otherRealmId);
    await create('Here');
    await arrived(1);
    expect(notices(0)).toMatchObject([{ account: mainRealmId }]);
  });

  it('sends again what was not acknowledged with 200, and the same', async () => {
    status = 503;
    await create('Again');
    await until(() => expect(got.length).toBeGreaterThan(2));
    status = 200;
    expect(new Set(got.map(({ body }) => body.toString())).size).toBe(1);
    await until(async () => {
      const { deliveries } = (await sandbox.admin('GET', 'quickbooks/deliveries')).json as {
        deliveries: { state: string; attempts: { status: number }[] }[];
      };
      expect(deliveries).toMatchObject([{ state: 'delivered' }]);
      expect(deliveries[0]!.attempts.at(-1)).toMatchObject({ status: 200 });
    });
  });

  it('loses, doubles, delays, reorders and wrongly signs on request', async () => {
    const rule = (body: object) => sandbox.admin('POST', 'quickbooks/delivery-rules', body);
    await rule({ lost: true });
    await create('Lost');
    await sandbox.clock.advance(100);
    await rule({ duplicates: 2 });
    await create('Three times');
    await arrived(3);
    await rule({ signature: 'missing' });
    status = 401;
    await create('Unsigned');
    await until(() => expect(got.length).toBeGreaterThan(4));
    expect(got.slice(3).every(({ verified }) => !verified)).toBe(true);
    status = 200;
  });

  it('lets things happen by themselves', async () => {
    await sandbox.admin('PUT', 'settings', { activityEveryMs: 30 });
    await until(() => expect(got.length).toBeGreaterThan(3));
    await sandbox.admin('PUT', 'settings', { activityEveryMs: 0 });
    const answer = await sandbox.admin('POST', 'quickbooks/activity', { count: 3 });
    expect(answer.at('changed')).toHaveLength(3);
  });
});
