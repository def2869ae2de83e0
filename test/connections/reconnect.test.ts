import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Connection } from '../../src/connections/connection.ts';
import { consent } from '../support/browser.ts';
import { identityOf, openCore, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';

describe.each(databaseKinds)('disconnecting and connecting again, %s', (_kind, open) => {
  let product: TestCore;
  let connection: Connection;
  beforeEach(async () => {
    product = await openCore(open, { requestTimeoutMs: 1_000, alsoKnownAs: ['other'] });
    connection = await product.connected('acme');
    await product.admin('DELETE', 'requests');
  });
  afterEach(() => product.close());

  const failRevoking = () =>
    product.admin('POST', 'faults', { count: 1_000, status: 503, match: { pathContains: '/tokens/revoke' } });
  const disconnect = (id = connection.id) => product.connections.disconnect(identityOf('acme'), id);
  const revocations = () => product.db.selectFrom('token_revocations').selectAll().execute();
  const revokeRequests = async () => (await product.requests('/tokens/revoke')).length;
  const worksFor = async (id: string) => {
    const present = (await product.connections.find('acme', [id])).get(id)!;
    const profile = await product.api.profile(present, { deadlineAtMs: product.clock.now() + 5_000 });
    return (
      profile?.name !== undefined &&
      (await product.connections.refresh(identityOf('acme'), id)).problem === null
    );
  };

  it('leaves the new grant alone when the old revocation is still to be made', async () => {
    await failRevoking();
    expect(await disconnect()).toMatchObject({ revocation: 'PENDING' });
    expect(await revocations()).toHaveLength(1);
    const again = await product.connected('acme');
    expect(again.id).not.toBe(connection.id);
    expect(await revocations()).toEqual([]);
    await product.admin('DELETE', 'faults');
    await product.admin('DELETE', 'requests');
    await product.work();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await revokeRequests()).toBe(0);
    expect(await worksFor(again.id)).toBe(true);
  });

  it('waits for a revocation under way before it asks for a new grant', async () => {
    await product.admin('POST', 'faults', {
      ...{ count: 1, delayMs: 1_500, match: { pathContains: '/tokens/revoke' } },
    });
    const ended = disconnect();
    await expect.poll(async () => (await revocations())[0]?.sending_until, { timeout: 5_000 }).toBeTruthy();
    const again = await product.connected('acme');
    expect(await ended).toMatchObject({ revocation: 'REVOKED' });
    expect(await worksFor(again.id)).toBe(true);
  });

  it('goes on with the revocation when nobody completes the new authorization', async () => {
    await failRevoking();
    await disconnect();
    const denied = await consent(await product.authorizationUrl('acme'), {}, /cancel/i);
    expect((await product.callback(denied)).problem?.code).toBe('AUTHORIZATION_DENIED');
    const [row] = await revocations();
    expect(row).toMatchObject({ held_until: null });
  });

  it('ends nothing that another connection of ours to the same company still needs', async () => {
    const other = await product.connected('acme', {}, 'other');
    await product.connected('beta');
    expect(await disconnect()).toMatchObject({ revocation: 'REVOKED' });
    // Another account of ours is connected to it: the provider is not asked to end that too.
    expect(await revokeRequests()).toBe(0);
    expect(await worksFor(other.id)).toBe(true);
  });

  it('discards and revokes what a refresh brings for a connection that has ended meanwhile', async () => {
    await product.admin('POST', 'faults', {
      ...{ count: 1, delayMs: 800, match: { pathContains: '/tokens/bearer' } },
    });
    const refreshing = product.connections.refresh(identityOf('acme'), connection.id);
    await expect
      .poll(
        async () =>
          (await product.db.selectFrom('oauth_tokens').select('attempt_at').executeTakeFirst())?.attempt_at,
      )
      .toBeTruthy();
    await disconnect();
    expect((await refreshing).problem?.code).toBe('NOT_CONNECTED');
    expect(await product.db.selectFrom('oauth_tokens').selectAll().execute()).toEqual([]);
  });

  it('does not let a late failure of an older link speak for a newer one', async () => {
    await disconnect();
    const older = await consent(await product.authorizationUrl('acme'));
    await product.admin('POST', 'faults', {
      ...{ count: 1, delayMs: 1_000, status: 503, match: { pathContains: '/tokens/bearer' } },
    });
    const late = product.callback(older);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const newer = await product.authorizationUrl('acme');
    expect((await late).problem).not.toBeNull();
    const [present] = await product.connections.list('acme');
    expect(present).toMatchObject({ status: 'PENDING', problem: null });
    expect((await product.callback(await consent(newer))).problem).toBeNull();
  });
});
