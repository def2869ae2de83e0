import { afterAll, beforeAll, expect, it } from 'vitest';
import { openCore, type TestCore } from '../support/core.ts';
import { embeddedDatabase } from '../support/databases.ts';

/** An operator has taken an integration out of INTEGRATIONS_FILE that accounts are connected to. */
let product: TestCore;
let own: string;
let left: string;
beforeAll(async () => {
  product = await openCore(embeddedDatabase, { alsoKnownAs: ['acme-crm'] });
  own = (await product.connected('acme')).id;
  left = (await product.connected('acme', {}, 'acme-crm')).id;
  await product.db
    .updateTable('connections')
    .set({ integration_id: 'removed' })
    .where('account_id', '=', 'acme')
    .where('id', '=', left)
    .execute();
  await product.db
    .updateTable('oauth_tokens')
    .set({ provider: 'removed' })
    .where('account_id', '=', 'acme')
    .where('connection_id', '=', left)
    .execute();
});
afterAll(() => product.close());

it('leaves the account its other connections, and says what is wrong with this one', async () => {
  const { data, errors } = await product.query(`{ connections { id status problem { code } rateLimit { limit }
    integration { id name auth scopes resources deliversWebhooks health connection { id } } account { id }
    syncStatuses { id state } profile { name } } }`);
  expect(data?.connections).toMatchObject([
    {
      id: left,
      profile: null,
      integration: { id: 'removed', name: 'removed', resources: [], health: 'HEALTHY' },
    },
    { id: own, profile: { name: expect.any(String) as string }, integration: { name: 'QuickBooks Online' } },
  ]);
  expect(errors).toMatchObject([
    {
      path: ['connections', 0, 'profile'],
      originalError: { problem: { code: 'NOT_CONFIGURED', actor: 'OPERATOR' } },
    },
  ]);
});

it('answers for its records and its sync with clear errors, not defects', async () => {
  const { data, errors } = await product.query(
    `mutation ($id: ID!) { syncConnection(input: { connectionId: $id }) { syncStatuses { id } problem { code actor } } }`,
    { id: left },
  );
  expect(errors).toBeUndefined();
  expect(data?.syncConnection).toMatchObject({ problem: { code: 'NOT_CONFIGURED', actor: 'OPERATOR' } });
  const asked = await product.query(
    `query ($id: ID!) { connection(id: $id) { id record(resource: "Invoice", externalId: "41") { id } } }`,
    { id: left },
  );
  expect(asked).toMatchObject({
    data: { connection: { id: left, record: null } },
    errors: [{ message: 'resource: removed has none.', extensions: { code: 'BAD_USER_INPUT' } }],
  });
});

it('can be disconnected: its tokens go, though nobody knows how to revoke them', async () => {
  const { data } = await product.query(
    `mutation ($id: ID!) { disconnect(input: { connectionId: $id }) { connection { status } revocation problem { code } } }`,
    { id: left },
  );
  expect(data?.disconnect).toEqual({
    connection: { status: 'DISCONNECTED' },
    revocation: 'NOT_SUPPORTED',
    problem: null,
  });
  const tokens = await product.db
    .selectFrom('oauth_tokens')
    .select('connection_id')
    .where('account_id', '=', 'acme')
    .execute();
  expect(tokens).toEqual([{ connection_id: own }]);
});
