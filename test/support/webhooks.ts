/**
 * Webhooks as the providers send them, over real HTTP to the product's own server.
 *
 *   const receiver = await openReceiver(product);          // `product` as in openCore
 *   await receiver.send('quickbooks', cloudEvents([{ id: '1', realm, entity: 'invoice', externalId: '7' }]));
 */
import type { AddressInfo } from 'node:net';
import { createSchema } from '../../resolvers/index.ts';
import { createResolveIdentity } from '../../src/identity.ts';
import { createLog } from '../../src/log.ts';
import { intuitScheme, myCarrierPacketsScheme, slackScheme } from '../../src/providers/signatures.ts';
import { createServer } from '../../src/server.ts';
import { sign } from '../../src/webhooks/verify.ts';
import { webhookSecret, type TestCore } from './core.ts';

export { cloudEvents, type CloudEvent } from './cloudEvents.ts';

export interface TestReceiver {
  url: string;
  /** Posts to `/webhooks/<path>`. */
  post(path: string, body: Buffer | string, headers?: Record<string, string>): Promise<Response>;
  /** Signed as QuickBooks does. */
  quickbooks(body: unknown, secret?: string): Promise<Response>;
  slack(body: unknown, options?: { secret?: string; atSeconds?: number }): Promise<Response>;
  myCarrierPackets(connectionId: string, body: unknown, secret: string): Promise<Response>;
  close(): Promise<void>;
}

const identity = {
  kind: 'development',
  accountClaim: 'account_id',
  issuer: undefined,
  audience: undefined,
} as const;

export async function openReceiver(product: TestCore): Promise<TestReceiver> {
  const server = await createServer({
    schema: createSchema(),
    core: product,
    receiver: product.receiver,
    resolveIdentity: createResolveIdentity(identity, product.clock),
    routerSecrets: [],
    production: false,
    firstQuery: '',
    subscriptions: { callbackOrigins: undefined, perAccount: 1_000, total: 20_000 },
    isReady: () => Promise.resolve(true),
    metrics: { text: () => Promise.resolve({ contentType: 'text/plain', body: '' }) },
    clock: product.clock,
    log: createLog('silent'),
  });
  await server.listen({ host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`;
  const post: TestReceiver['post'] = (path, body, headers = {}) =>
    fetch(`${url}/webhooks/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : new Uint8Array(body),
    });
  const bytes = (body: unknown) => Buffer.from(JSON.stringify(body));
  return {
    url,
    post,
    quickbooks: (body, secret = webhookSecret) =>
      post('quickbooks', bytes(body), sign(intuitScheme, secret, bytes(body))),
    slack: (body, { secret = product.sandbox.slack.signingSecret, atSeconds } = {}) =>
      post(
        'slack',
        bytes(body),
        sign(slackScheme, secret, bytes(body), {
          timestamp: atSeconds ?? Math.floor(product.clock.now() / 1_000),
        }),
      ),
    myCarrierPackets: (connectionId, body, secret) =>
      post(
        `mycarrierpackets/${connectionId}`,
        bytes(body),
        sign(myCarrierPacketsScheme, secret, bytes(body)),
      ),
    async close() {
      await server.close();
    },
  };
}
