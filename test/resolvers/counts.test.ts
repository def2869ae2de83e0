import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCore, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';

const others = Array.from({ length: 49 }, (_, i) => `other-${i + 1}`);

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
    // The connection, its token, the account's key; what was read is stored.
    expect(many.statements).toBeLessThanOrEqual(4);
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

  it('is the same statements for 1 and for 50 companies that are read live', async () => {
    const live = '{ connections(status: ACTIVE) { id profile { name } } }';
    const one = await spent(live);
    for (const integrationId of others) await product.connected('acme', {}, integrationId);
    const many = await spent(live);
    expect(many.data?.connections).toHaveLength(50);
    expect([one.calls, many.calls]).toEqual([1, 50]);
    expect(many.statements).toBe(one.statements);
    expect(many.statements).toBeLessThanOrEqual(4);
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

/** Each connection is to an integration of its own: failures that others left behind would hold calls back. */
describe.each(databaseKinds)('the cost of a request that the provider fails, %s', (_kind, open) => {
  const counts = [1, 45, 90];
  let product: TestCore;
  let ids: string[];
  beforeAll(async () => {
    product = await openCore(open, { alsoKnownAs: others, requestTimeoutMs: 1_000 });
    ids = [];
    for (const integrationId of others) ids.push((await product.connected('acme', {}, integrationId)).id);
  });
  afterAll(() => product.close());

  /** The answer once all was read, and the statements for the same while the provider fails. */
  const failing = async (source: string, variables: Record<string, unknown>) => {
    const { data: live } = await product.query(source, variables);
    await product.admin('POST', 'faults', {
      status: 503,
      count: 1_000,
      match: { pathContains: '/v3/company/' },
    });
    product.statements.length = 0;
    const { data } = await product.query(source, variables);
    const statements = product.statements.length;
    await product.admin('DELETE', 'faults');
    return { live, data, statements };
  };

  it('is the same statements for 1, 45 and 90 references, one of them for what was stored', async () => {
    const source = `query ($r: [_Any!]!) { _entities(representations: $r) { ... on ExternalRecord { id stale } } }`;
    const spent = [];
    for (const [i, count] of counts.entries()) {
      const r = Array.from({ length: count }, (_, n) => ({
        __typename: 'ExternalRecord',
        id: `${ids[i]}/Invoice/${41 + n}`,
      }));
      const { live, data, statements } = await failing(source, { r });
      expect(live?._entities).toHaveLength(count);
      const found = (live!._entities as ({ id: string } | null)[]).flatMap((one) => one ?? []);
      expect(data?._entities).toEqual(expect.arrayContaining(found.map(({ id }) => ({ id, stale: true }))));
      spent.push(statements);
    }
    expect(new Set(spent)).toHaveLength(1);
    expect(spent[0]).toBeLessThanOrEqual(4);
  });

  it('is the same statements for the profiles of 1 and 49 companies, one of them for what was stored', async () => {
    const source = `query ($r: [_Any!]!) { _entities(representations: $r) {
      ... on Connection { id profile { name stale } } } }`;
    const spent = [];
    for (const some of [ids.slice(3, 4), ids.slice(4)]) {
      const r = some.map((id) => ({ __typename: 'Connection', id }));
      const { data, statements } = await failing(source, { r });
      for (const one of data!._entities as object[]) expect(one).toMatchObject({ profile: { stale: true } });
      spent.push(statements);
    }
    expect(new Set(spent)).toHaveLength(1);
    expect(spent[0]).toBeLessThanOrEqual(4);
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
