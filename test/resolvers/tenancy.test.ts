import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCore, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';

const unknown = '00000000-0000-4000-8000-000000000000';

describe.each(databaseKinds)('accounts, %s', (_kind, open) => {
  let product: TestCore;
  let own: string;
  let foreign: string;
  beforeAll(async () => {
    product = await openCore(open, { poolSize: 2 });
    own = (await product.connected('acme')).id;
    foreign = (await product.connected('rival')).id;
  });
  afterAll(() => product.close());

  const entity = (typename: string, fields: string) =>
    `query ($key: [_Any!]!) { _entities(representations: $key) { ... on ${typename} { ${fields} } } }`;
  const input = (name: string, more = '') =>
    `mutation ($id: ID!) { ${name}(input: { connectionId: $id ${more} }) { problem { code message actor } } }`;

  /** Every way to name a connection; `key` is the entity's id made from it. */
  const operations: [string, string, ((id: string) => Record<string, unknown>)?][] = [
    ['connection', 'query ($id: ID!) { connection(id: $id) { id externalId profile { name } } }'],
    ['_entities Connection', entity('Connection', 'id status'), (id) => ({ __typename: 'Connection', id })],
    [
      '_entities SyncStatus',
      entity('SyncStatus', 'id state'),
      (id) => ({ __typename: 'SyncStatus', id: `${id}/Invoice` }),
    ],
    [
      '_entities ExternalRecord',
      entity('ExternalRecord', 'id payload'),
      (id) => ({ __typename: 'ExternalRecord', id: `${id}/Invoice/41` }),
    ],
    ['refresh', input('refresh')],
    ['disconnect', input('disconnect')],
    ['syncConnection', input('syncConnection')],
    ['setWebhookSecret', input('setWebhookSecret', ', secret: "x"')],
  ];

  it.each(operations)(
    'cannot tell a foreign connection from an unknown one by %s',
    async (_, source, key) => {
      const ask = async (id: string) =>
        JSON.stringify(
          await product.query(source, { id, ...(key && { key: [key(id)] }) }, 'acme'),
        ).replaceAll(id, '<id>');
      const answer = await ask(foreign);
      expect(answer).toBe(await ask(unknown));
      expect(answer).toBe(await ask('not-a-uuid'));
      expect(answer).toBe(await ask("' or true --"));
      expect((await product.connections.find('rival', [foreign])).get(foreign)?.status).toBe('ACTIVE');
    },
  );

  it('see their own by the same operations', async () => {
    for (const [, source, key] of operations.slice(0, 4)) {
      const { data, errors } = await product.query(
        source,
        { id: own, ...(key && { key: [key(own)] }) },
        'acme',
      );
      expect(errors).toBeUndefined();
      expect(JSON.stringify(data)).toContain(own);
    }
  });

  it('show nothing of another account as an entity', async () => {
    const source = entity('Account', 'id connections { id } connection(integrationId: "quickbooks") { id }');
    const ask = (id: string) =>
      product.query(source, { id: '', key: [{ __typename: 'Account', id }] }, 'acme');
    expect(await ask('rival')).toEqual({
      data: { _entities: [{ id: 'rival', connections: null, connection: null }] },
    });
    expect((await ask('acme')).data).toEqual({
      _entities: [{ id: 'acme', connections: [{ id: own }], connection: { id: own } }],
    });
  });

  it('never mix, however their requests interleave on two database connections', async () => {
    const accounts = Array.from({ length: 100 }, (_, i) => `tenant-${i}`);
    await product.db
      .insertInto('connections')
      .values(
        accounts.map((account_id) => ({
          account_id,
          id: product.clock.randomUUID(),
          integration_id: 'quickbooks',
          status: 'DISCONNECTED' as const,
          external_id: account_id,
          problem: null,
        })),
      )
      .execute();
    const wrong: unknown[] = [];
    // In rounds of all accounts at once: 5,000 waiting for two connections would only test the pool's patience.
    for (let round = 0; round < 50; round++)
      await Promise.all(
        accounts.map(async (account) => {
          const answer = await product.query('{ connections { externalId account { id } } }', {}, account);
          const expected = { connections: [{ externalId: account, account: { id: account } }] };
          if (JSON.stringify(answer.data) !== JSON.stringify(expected)) wrong.push(answer);
        }),
      );
    expect(wrong).toEqual([]);
  });

  it('get an error for each reference that is none, and an answer for the others', async () => {
    const source =
      'query ($r: [_Any!]!) { _entities(representations: $r) { __typename ... on Connection { id } } }';
    const good = { __typename: 'Connection', id: own };
    const bad = [
      { __typename: 'Nope', id: '1' },
      { __typename: 'Connection' },
      { id: own },
      'text',
      { __typename: 'ExternalRecord', id: 5 },
      { __typename: 'PageInfo', id: own },
    ];
    const { data, errors } = await product.query(source, { r: [...bad, good] });
    expect(data?._entities).toEqual([...bad.map(() => null), { __typename: 'Connection', id: own }]);
    expect(errors?.map((error) => error.extensions.code)).toEqual(bad.map(() => 'BAD_USER_INPUT'));
  });

  it('that fail null their own fields with a code, and leave the others', async () => {
    const source = `query ($key: [_Any!]!) { _entities(representations: $key) {
      ... on Connection { id profile { name } } ... on ExternalRecord { id payload } } }`;
    await product.db
      .updateTable('connections')
      .set({ external_id: '1' })
      .where('account_id', '=', 'rival')
      .where('id', '=', foreign)
      .execute();
    const key = [
      { __typename: 'Connection', id: foreign },
      { __typename: 'ExternalRecord', id: `${own}/Invoice/41` },
    ];
    const { data, errors } = await product.query(source, { key }, 'rival');
    expect(data?._entities).toEqual([{ id: foreign, profile: null }, null]);
    expect(errors).toMatchObject([{ path: ['_entities', 0, 'profile'] }]);
  });
});
