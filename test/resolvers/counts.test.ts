import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCore, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';

const others = Array.from({ length: 19 }, (_, i) => `other-${i + 1}`);

/** What a request costs: statements must not grow with what it asks for, provider calls only by the batch size. */
describe.each(databaseKinds)('the cost of a request, %s', (_kind, open) => {
  let product: TestCore;
  let id: string;
  beforeAll(async () => {
    product = await openCore(open, { alsoKnownAs: others });
    ({ id } = await product.connected('acme'));
  });
  afterAll(() => product.close());

  const spent = async (source: string, variables: Record<string, unknown> = {}) => {
    await product.admin('DELETE', 'requests');
    product.statements.length = 0;
    const { data, errors } = await product.query(source, variables);
    expect(errors).toBeUndefined();
    return {
      data,
      statements: product.statements.length,
      calls: (await product.requests('/v3/company/')).length,
    };
  };
  const entities = `query ($r: [_Any!]!) { _entities(representations: $r) {
    __typename ... on ExternalRecord { id payload updatedAt deleted connection { id status } } } }`;
  const records = (count: number, fields = {}) => ({
    r: Array.from({ length: count }, (_, i) => ({
      __typename: 'ExternalRecord',
      id: `${id}/Invoice/${41 + i}`,
      ...fields,
    })),
  });

  it.each([
    [1, 1],
    [30, 1],
    [31, 2],
    [45, 2],
    [90, 3],
  ])('is %i references, %i provider calls and the same statements', async (count, calls) => {
    const one = await spent(entities, records(1));
    const many = await spent(entities, records(count));
    expect(many.calls).toBe(calls);
    expect(many.statements).toBe(one.statements);
    expect(many.statements).toBeLessThanOrEqual(3);
    expect(many.data?._entities).toHaveLength(count);
  });

  it('is one call for a record asked for many times', async () => {
    const same = records(20).r.map(() => records(1).r[0]);
    expect((await spent(entities, { r: same })).calls).toBe(1);
  });

  it('is no call for references of which only the key is asked', async () => {
    const keys = `query ($r: [_Any!]!) { _entities(representations: $r) { ... on ExternalRecord { id resource } } }`;
    expect((await spent(keys, records(50))).calls).toBe(0);
  });

  it('is the same statements for 1 and for 20 companies that are read live', async () => {
    const live = '{ connections(status: ACTIVE) { id profile { name } } }';
    const one = await spent(live);
    for (const integrationId of others) await product.connected('acme', {}, integrationId);
    const many = await spent(live);
    expect(many.data?.connections).toHaveLength(20);
    expect([one.calls, many.calls]).toEqual([1, 20]);
    expect(many.statements).toBe(one.statements);
  });

  it('is the same statements for 1, 50 and 500 connections', async () => {
    const all = `{ connections(status: DISCONNECTED) { id status problem { code } account { id }
      integration { id connection { id } } rateLimit { remaining }
      syncStatuses { resource state connection { id } } events(first: 2) { nodes { kind connection { id } } } } }`;
    const counts = [];
    let made = 0;
    for (const wanted of [1, 50, 500]) {
      for (; made < wanted; made++) await addDisconnected(product);
      const { data, statements } = await spent(all);
      expect(data?.connections).toHaveLength(wanted);
      counts.push(statements);
    }
    expect(new Set(counts)).toHaveLength(1);
    expect(counts[0]).toBeLessThanOrEqual(4);
  });
});

async function addDisconnected({ db, clock }: TestCore): Promise<void> {
  const connection = { account_id: 'acme', id: clock.randomUUID(), integration_id: 'quickbooks' };
  await db
    .insertInto('connections')
    .values({ ...connection, status: 'DISCONNECTED', problem: null })
    .execute();
  await db
    .insertInto('sync_statuses')
    .values({ account_id: 'acme', connection_id: connection.id, resource: 'Invoice', problem: null })
    .execute();
}
