import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Connection } from '../../src/connections/connection.ts';
import { identityOf, openCore, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { startParcelwise, type ParcelwiseServer } from '../support/parcelwise/server.ts';
import { openReceiver, type TestReceiver } from '../support/webhooks.ts';
import { cases, configuredParcelwise, type World } from './cases.ts';

describe.each(databaseKinds)('every provider, %s', (_kind, open) => {
  let product: TestCore;
  let receiver: TestReceiver;
  let parcelwise: ParcelwiseServer;
  let world: World;
  beforeEach(async () => {
    parcelwise = await startParcelwise();
    product = await openCore(open, { others: [configuredParcelwise(parcelwise)] });
    receiver = await openReceiver(product);
    world = { product, receiver, parcelwise };
  });
  afterEach(async () => {
    await receiver.close();
    await product.close();
    await parcelwise.close();
  });

  const present = async ({ accountId, id }: Connection) =>
    (await product.connections.find(accountId, [id])).get(id)!;
  const patience = () => ({ deadlineAtMs: product.clock.now() + 5_000 });

  describe.each(cases.map((one) => [one.integrationId, one] as const))('%s', (_id, of) => {
    it('goes through a connection’s whole life in the fewest requests', async () => {
      const edge = of.edge(world);
      const connection = await of.connect(world, 'acme');
      expect(connection).toMatchObject({ status: 'ACTIVE', problem: null });
      expect(connection.externalId).toMatch(/./);
      const id = await of.findId(world, connection);
      await edge.forgetRequests();

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
      expect(await edge.apiRequests()).toBe(expected);

      const { problem } = await product.connections.refresh(identityOf('acme'), connection.id);
      expect(problem).toBeNull();
      expect((await present(connection)).tokenRefreshedAt).not.toBeNull();
      expect(await edge.tokenRequests()).toBe(1);

      expect(await product.connections.disconnect(identityOf('acme'), connection.id)).toMatchObject({
        revocation: of.revocation,
        connection: { status: 'DISCONNECTED' },
      });
      await expect(product.api.profile(await present(connection), patience())).rejects.toMatchObject({
        code: 'NOT_CONNECTED',
      });
    });

    it('renews a token that the provider refuses, once for all callers', async () => {
      const edge = of.edge(world);
      const connection = await of.connect(world, 'acme');
      const id = await of.findId(world, connection);
      await edge.expireAccessTokens();
      await edge.forgetRequests();
      const reads = Array.from({ length: 10 }, () =>
        product.api.records(connection, of.resource, [id], patience()),
      );
      for (const found of await Promise.all(reads)) expect([...found.keys()]).toEqual([id]);
      expect(await edge.tokenRequests()).toBe(1);
      expect(await present(connection)).toMatchObject({ status: 'ACTIVE' });
    });

    it('tells trouble of the provider from what a person has to mend', async () => {
      const edge = of.edge(world);
      const connection = await of.connect(world, 'acme');
      const id = await of.findId(world, connection);
      const ask = () => product.api.records(connection, of.resource, [id], patience());
      for (const [status, code] of [
        [503, 'PROVIDER_ERROR'],
        [429, 'RATE_LIMITED'],
      ] as const) {
        await edge.fail(status);
        await expect(ask()).rejects.toMatchObject({ code });
        await edge.mend();
        expect(await present(connection)).toMatchObject({ status: 'ACTIVE' });
      }
    });

    it('believes a webhook that is rightly signed, and no other', async () => {
      const connection = await of.connect(world, 'acme');
      const id = await of.findId(world, connection);
      const known = () =>
        product.db
          .selectFrom('external_records')
          .select('external_id')
          .where('external_id', '=', id)
          .execute();
      product.deliveries.start();
      expect((await of.announce(world, connection, id, 'forged')).status).toBe(401);
      expect(await product.db.selectFrom('webhook_deliveries').select('id').execute()).toEqual([]);
      expect((await of.announce(world, connection, id)).status).toBe(200);
      await vi.waitFor(async () => expect(await known()).toHaveLength(1), { timeout: 10_000, interval: 20 });
    });

    it('shows, stores and logs nothing of what is masked, nor of a token', async () => {
      const connection = await of.connect(world, 'acme');
      const id = await of.findId(world, connection);
      const { value } = await product.tokens.accessToken(connection);
      const { masked } = product.catalog.find(of.integrationId)!.provider;
      const answer = await product.query(
        `query ($id: ID!, $resource: String!, $one: ID!) {
          connection(id: $id) { record(resource: $resource, externalId: $one) { payload } } }`,
        { id: connection.id, resource: of.resource, one: id },
      );
      const stored = await product.db.selectFrom('external_records').select('payload').execute();
      expect(stored).toHaveLength(1);
      expect(JSON.stringify(stored).includes('"***"')).toBe(masked?.[of.resource] !== undefined);
      for (const seen of [JSON.stringify(answer), JSON.stringify(stored)])
        for (const name of masked?.[of.resource] ?? [])
          expect(seen).not.toMatch(new RegExp(`"${name}":(?!null|""|"\\*\\*\\*")`, 'i'));
      for (const seen of [JSON.stringify(answer), JSON.stringify(stored), product.logs()])
        expect(seen).not.toContain(value);
    });
  });

  it('ends a Slack installation also when its access token has run out', async () => {
    const connection = await product.connected('acme', {}, 'slack');
    await product.admin('POST', 'slack/access-tokens/expire', {});
    await product.admin('DELETE', 'requests');
    expect(await product.connections.disconnect(identityOf('acme'), connection.id)).toMatchObject({
      revocation: 'REVOKED',
    });
    expect((await product.requests('/slack/api')).map(({ path }) => path.split('/').at(-1))).toEqual([
      'apps.uninstall',
      'oauth.v2.access',
      'apps.uninstall',
    ]);
  });
});
