import { expect } from 'vitest';
import type { Connection } from '../../src/connections/connection.ts';
import type { ConfiguredProvider } from '../../src/providers/catalog.ts';
import type { Change } from '../../src/providers/changes.ts';
import type { TestCore } from '../support/core.ts';
import type { ParcelwiseServer } from '../support/parcelwise/server.ts';
import { parcelwise } from '../support/parcelwise/provider.ts';
import { cloudEvents, type TestReceiver } from '../support/webhooks.ts';

/** What the contract test must know of one provider: a column of its table. */
export interface Case {
  integrationId: string;
  connect(world: World, accountId: string): Promise<Connection>;
  /** Null where there is no identity call. */
  profileId: RegExp | null;
  resource: string;
  /** Of one that exists. */
  findId(world: World, connection: Connection): Promise<string>;
  unknownId: string;
  revocation: 'REVOKED' | 'NOT_SUPPORTED';
  /** The provider's own side, where nothing of ours is. */
  edge(world: World): Edge;
  /** Sends word, rightly signed, that the record has changed; `forged`: signed by somebody else. */
  announce(world: World, connection: Connection, externalId: string, forged?: 'forged'): Promise<Response>;
}

export interface World {
  product: TestCore;
  receiver: TestReceiver;
  parcelwise: ParcelwiseServer;
}

export interface Edge {
  forgetRequests(): Promise<void>;
  apiRequests(): Promise<number>;
  tokenRequests(): Promise<number>;
  /** Every API request is answered so, until `mend`. */
  fail(status: number): Promise<void>;
  mend(): Promise<void>;
  expireAccessTokens(): Promise<void>;
}

export const configuredParcelwise = (server: ParcelwiseServer): ConfiguredProvider => ({
  provider: parcelwise,
  endpoints: server.endpoints,
  credentials: server.credentials,
  limits: parcelwise.limits,
  webhookSecrets: [server.webhookSecret],
});

/** All that the provider lists, page by page, as a poll would. */
export async function changesOf(
  product: TestCore,
  connection: Connection,
  resource: string,
  since: Date | null = null,
): Promise<{ changes: Change[]; pages: number; isWhole: boolean }> {
  const { provider, endpoints } = product.catalog.find(connection.integrationId)!;
  const reads = provider.changes(resource);
  const target = { apiUrl: endpoints.apiUrl, externalId: connection.externalId! };
  const { value } = await product.tokens.accessToken(connection);
  const changes: Change[] = [];
  let isWhole = true;
  let pages = 0;
  for (let at = reads.begin(since, new Date(product.clock.now())), more = true; more; pages++) {
    const { url, method, headers, body } = reads.request(target, at);
    const answer = await fetch(url, {
      method,
      headers: { ...headers, authorization: `Bearer ${value}` },
      ...(body !== undefined && { body }),
    });
    const response = { status: answer.status, headers: {}, body: await answer.text() };
    expect(provider.classify(response, product.clock.now())).toBeUndefined();
    const page = reads.parse(response, at);
    changes.push(...page.changes);
    isWhole = page.isWhole;
    more = page.next !== undefined;
    at = page.next ?? at;
  }
  return { changes, pages, isWhole };
}

const firstOf =
  (resource: string) =>
  async ({ product }: World, connection: Connection) =>
    (await changesOf(product, connection, resource)).changes[0]!.externalId;

/** Of a provider that the sandbox emulates: where it is mounted, and how it is told that tokens have run out. */
const emulated =
  (mount: string, tokenPath: string, expire: string) =>
  ({ product }: World): Edge => ({
    forgetRequests: () => product.admin('DELETE', 'requests'),
    apiRequests: async () => (await product.requests(mount)).length,
    tokenRequests: async () => (await product.requests(tokenPath)).length,
    fail: (status) => product.admin('POST', 'faults', { count: 10, status, match: { pathContains: mount } }),
    mend: () => product.admin('DELETE', 'faults'),
    expireAccessTokens: () => product.admin('POST', expire, {}),
  });

const otherSecret = 'nobody-has-ever-set-this';

export const cases: readonly Case[] = [
  {
    integrationId: 'quickbooks',
    connect: ({ product }, accountId) => product.connected(accountId),
    profileId: /^\d+$/,
    resource: 'Invoice',
    findId: firstOf('Invoice'),
    unknownId: '987654321',
    revocation: 'REVOKED',
    edge: emulated('/quickbooks/v3', '/tokens/bearer', 'access-tokens/expire'),
    announce: ({ receiver }, { externalId: realm }, externalId, forged) =>
      receiver.quickbooks(
        cloudEvents([{ id: 'event-1', realm: realm!, entity: 'invoice', externalId }]),
        ...(forged ? [otherSecret] : []),
      ),
  },
  {
    integrationId: 'slack',
    connect: ({ product }, accountId) => product.connected(accountId, {}, 'slack'),
    profileId: /^T/,
    resource: 'Channel',
    findId: firstOf('Channel'),
    unknownId: 'C0NONE',
    revocation: 'REVOKED',
    edge: emulated('/slack/api', '/oauth.v2.access', 'slack/access-tokens/expire'),
    announce: ({ receiver }, { externalId: team }, id, forged) =>
      receiver.slack(
        {
          ...{ type: 'event_callback', team_id: team, event_id: 'Ev1' },
          event: { type: 'channel_rename', channel: { id, name: 'renamed' } },
        },
        forged ? { secret: otherSecret } : {},
      ),
  },
  {
    integrationId: 'mycarrierpackets',
    async connect({ product }, accountId) {
      const { username, password } = product.sandbox.myCarrierPackets;
      const { connection, problem } = await product.connections.connect({
        ...{ accountId, userId: null, integrationId: 'mycarrierpackets' },
        credentials: { username, password, webhookSecret: 'the-customers-own-secret' },
      });
      expect(problem).toBeNull();
      return connection!;
    },
    profileId: null,
    resource: 'Carrier',
    findId: () => Promise.resolve('9999997'),
    unknownId: '1',
    revocation: 'NOT_SUPPORTED',
    edge: emulated(
      '/mycarrierpackets/api',
      '/mycarrierpackets/token',
      'mycarrierpackets/access-tokens/expire',
    ),
    announce: ({ receiver }, { id }, dotNumber, forged) =>
      receiver.myCarrierPackets(
        id,
        {
          ...{ eventType: 'carrier.updated', eventDateTime: '2026-01-05T12:00:00Z' },
          eventData: { carrier: { dotNumber: Number(dotNumber) } },
        },
        forged ? otherSecret : 'the-customers-own-secret',
      ),
  },
  {
    // The provider of docs/adding-a-provider.md.
    integrationId: 'parcelwise',
    connect: ({ product }, accountId) => product.connected(accountId, {}, 'parcelwise'),
    profileId: /^mer_/,
    resource: 'Shipment',
    findId: firstOf('Shipment'),
    unknownId: 'shp_nobody',
    revocation: 'REVOKED',
    edge: ({ parcelwise: { requests, tokens, fail } }) => ({
      forgetRequests: () => Promise.resolve(void (requests.length = 0)),
      apiRequests: () => Promise.resolve(requests.filter(({ path }) => path.startsWith('/v2/')).length),
      tokenRequests: () => Promise.resolve(requests.filter(({ path }) => path === '/oauth/token').length),
      fail: (status) => Promise.resolve(fail(status)),
      mend: () => Promise.resolve(fail(undefined)),
      expireAccessTokens: () => Promise.resolve(tokens.expireAccessTokens()),
    }),
    announce({ receiver, parcelwise: server }, _connection, externalId, forged) {
      const { body, headers } = server.delivery([{ type: 'shipment.updated', object_id: externalId }]);
      const signature = headers['parcelwise-signature']!;
      return receiver.post('parcelwise', body, {
        'parcelwise-signature': forged
          ? signature.replace(/.$/, (last) => (last === '0' ? '1' : '0'))
          : signature,
      });
    },
  },
];
