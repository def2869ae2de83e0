import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Connection } from '../../src/connections/connection.ts';
import { identityOf, openCore, type LoggedRequest, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';

interface Case {
  integrationId: string;
  /** Where its emulation is mounted. */
  mount: string;
  tokenPath: string;
  connect(product: TestCore, accountId: string): Promise<Connection>;
  /** Null where there is no identity call. */
  profileId: RegExp | null;
  resource: string;
  /** Of one that exists. */
  findId(product: TestCore, connection: Connection): Promise<string>;
  unknownId: string;
  revocation: 'REVOKED' | 'NOT_SUPPORTED';
  expireTokens: string;
}

const firstOf = async (product: TestCore, connection: Connection, resource: string): Promise<string> => {
  const { provider, endpoints } = product.catalog.find(connection.integrationId)!;
  const reads = provider.changes(resource);
  const position = reads.begin(null, new Date(product.clock.now()));
  const target = { apiUrl: endpoints.apiUrl, externalId: connection.externalId! };
  const { value } = await product.tokens.accessToken(connection);
  const { url, method, headers, body } = reads.request(target, position);
  const answer = await fetch(url, {
    method,
    headers: { ...headers, authorization: `Bearer ${value}` },
    ...(body !== undefined && { body }),
  });
  const response = { status: answer.status, headers: {}, body: await answer.text() };
  expect(provider.classify(response, product.clock.now())).toBeUndefined();
  const { changes } = reads.parse(response, position);
  return changes[0]!.externalId;
};

const cases: Case[] = [
  {
    integrationId: 'quickbooks',
    mount: '/quickbooks/v3',
    tokenPath: '/tokens/bearer',
    connect: (product, accountId) => product.connected(accountId),
    profileId: /^\d+$/,
    resource: 'Invoice',
    findId: (product, connection) => firstOf(product, connection, 'Invoice'),
    unknownId: '987654321',
    revocation: 'REVOKED',
    expireTokens: 'access-tokens/expire',
  },
  {
    integrationId: 'slack',
    mount: '/slack/api',
    tokenPath: '/oauth.v2.access',
    connect: (product, accountId) => product.connected(accountId, {}, 'slack'),
    profileId: /^T/,
    resource: 'Channel',
    findId: (product, connection) => firstOf(product, connection, 'Channel'),
    unknownId: 'C0NONE',
    revocation: 'REVOKED',
    expireTokens: 'slack/access-tokens/expire',
  },
  {
    integrationId: 'mycarrierpackets',
    mount: '/mycarrierpackets/api',
    tokenPath: '/mycarrierpackets/token',
    async connect(product, accountId) {
      const { username, password } = product.sandbox.myCarrierPackets;
      const { connection, problem } = await product.connections.connect({
        ...{ accountId, userId: null, integrationId: 'mycarrierpackets' },
        credentials: { username, password },
      });
      expect(problem).toBeNull();
      return connection!;
    },
    profileId: null,
    resource: 'Carrier',
    findId: () => Promise.resolve('9999997'),
    unknownId: '1',
    revocation: 'NOT_SUPPORTED',
    expireTokens: 'mycarrierpackets/access-tokens/expire',
  },
];

describe.each(databaseKinds)('every provider, %s', (_kind, open) => {
  let product: TestCore;
  beforeEach(async () => {
    product = await openCore(open);
  });
  afterEach(() => product.close());

  const present = async ({ accountId, id }: Connection) =>
    (await product.connections.find(accountId, [id])).get(id)!;
  const patience = () => ({ deadlineAtMs: product.clock.now() + 5_000 });
  const counted = async (path: string): Promise<LoggedRequest[]> => product.requests(path);

  describe.each(cases.map((one) => [one.integrationId, one] as const))('%s', (_id, of) => {
    it('goes through a connection’s whole life in the fewest requests', async () => {
      const connection = await of.connect(product, 'acme');
      expect(connection).toMatchObject({ status: 'ACTIVE', problem: null });
      expect(connection.externalId).toMatch(/./);
      const id = await of.findId(product, connection);
      await product.admin('DELETE', 'requests');

      const answers = await product.query(
        `query Read($id: ID!, $resource: String!, $one: ID!, $none: ID!) {
          connection(id: $id) {
            profile { id name }
            one: record(resource: $resource, externalId: $one) { externalId payload updatedAt deleted }
            none: record(resource: $resource, externalId: $none) { externalId }
          }
        }`,
        { id: connection.id, resource: of.resource, one: id, none: of.unknownId },
      );
      expect(answers.errors).toBeUndefined();
      const read = (
        answers.data as { connection: Record<string, { id?: string; externalId?: string } | null> }
      ).connection;
      expect(read.one).toMatchObject({ externalId: id, deleted: false });
      expect(read.none).toBeNull();
      expect(read.profile === null).toBe(of.profileId === null);
      expect(read.profile?.id ?? '').toMatch(of.profileId ?? /^$/);
      const batch = product.catalog.find(of.integrationId)!.provider.records.batchSize;
      const expected = (of.profileId === null ? 0 : 1) + (batch === 1 ? 2 : 1);
      expect((await counted(of.mount)).map((one) => one.path)).toHaveLength(expected);

      const { problem } = await product.connections.refresh(identityOf('acme'), connection.id);
      expect(problem).toBeNull();
      expect((await present(connection)).tokenRefreshedAt).not.toBeNull();
      expect(await counted(of.tokenPath)).toHaveLength(1);

      expect(await product.connections.disconnect(identityOf('acme'), connection.id)).toMatchObject({
        revocation: of.revocation,
        connection: { status: 'DISCONNECTED' },
      });
      await expect(product.api.profile(await present(connection), patience())).rejects.toMatchObject({
        code: 'NOT_CONNECTED',
      });
    });

    it('renews a token that the provider refuses, once for all callers', async () => {
      const connection = await of.connect(product, 'acme');
      const id = await of.findId(product, connection);
      await product.admin('POST', of.expireTokens, {});
      await product.admin('DELETE', 'requests');
      const reads = Array.from({ length: 10 }, () =>
        product.api.records(connection, of.resource, [id], patience()),
      );
      for (const found of await Promise.all(reads)) expect([...found.keys()]).toEqual([id]);
      expect(await counted(of.tokenPath)).toHaveLength(1);
      expect(await present(connection)).toMatchObject({ status: 'ACTIVE' });
    });

    it('tells trouble of the provider from what a person has to mend', async () => {
      const connection = await of.connect(product, 'acme');
      const id = await of.findId(product, connection);
      const ask = () => product.api.records(connection, of.resource, [id], patience());
      for (const [status, code] of [
        [503, 'PROVIDER_ERROR'],
        [429, 'RATE_LIMITED'],
      ] as const) {
        await product.admin('POST', 'faults', { count: 10, status, match: { pathContains: of.mount } });
        await expect(ask()).rejects.toMatchObject({ code });
        await product.admin('DELETE', 'faults');
        expect(await present(connection)).toMatchObject({ status: 'ACTIVE' });
      }
    });
  });

  it('ends a Slack installation also when its access token has run out', async () => {
    const connection = await product.connected('acme', {}, 'slack');
    await product.admin('POST', 'slack/access-tokens/expire', {});
    await product.admin('DELETE', 'requests');
    expect(await product.connections.disconnect(identityOf('acme'), connection.id)).toMatchObject({
      revocation: 'REVOKED',
    });
    expect((await counted('/slack/api')).map(({ path }) => path.split('/').at(-1))).toEqual([
      'apps.uninstall',
      'oauth.v2.access',
      'apps.uninstall',
    ]);
  });
});
