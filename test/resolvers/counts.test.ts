import { sql } from 'kysely';
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

/** Of accounts of every size: the statements are the same ones, to the letter, so that PostgreSQL keeps them parsed. */
describe.each(databaseKinds)('the cost of what is stored, %s', (_kind, open) => {
  const sizes = [1, 50, 500];
  const known = new Map<number, string[]>();
  let product: TestCore;
  beforeAll(async () => {
    product = await openCore(open, { recordMaxAgeSeconds: 3_600 });
    for (const size of sizes) known.set(size, await fill(product, `${size}`, size));
  });
  afterAll(() => product.close());

  /** The answers for each size, and the statements that each of them took. */
  const forEverySize = async (
    source: string,
    most: number,
    variables: (size: number) => object = () => ({}),
    some = sizes,
  ) => {
    await product.admin('DELETE', 'requests');
    const answers = [];
    const statements = new Set<string>();
    for (const size of some) {
      product.statements.length = 0;
      const { data, errors } = await product.query(source, { ...variables(size) }, `${size}`);
      expect(errors).toBeUndefined();
      expect(product.statements.length).toBeLessThanOrEqual(most);
      statements.add(JSON.stringify(product.statements.toSorted()));
      answers.push(Object.values(data!)[0] as Record<string, unknown>[]);
    }
    expect(statements).toHaveLength(1);
    expect(await product.requests('/v3/company/')).toEqual([]);
    return answers;
  };

  const page = 'pageInfo { hasNextPage endCursor }';
  const everything = `__typename id status problem { code message actor } externalId scopes createdAt connectedAt
    disconnectedAt checkedAt tokenExpiresAt nextRefreshAt reauthorizeBy webhookUrl account { id connections { id } }
    integration { id name connection { id } } rateLimit { remaining }
    syncStatuses { id state lastSyncedAt nextPollAt recordCount problem { code } connection { id } }
    records(resource: "Invoice", first: 2) { nodes { id payload connection { id } } ${page} }
    events(first: 2) { nodes { id kind connection { id } syncStatus { id state } } ${page} }
    deliveries(first: 2) { nodes { id status } ${page} }`;
  const references = (typename: string, idOf: (id: string, i: number) => string) => (size: number) => ({
    r: known.get(size)!.map((id, i) => ({ __typename: typename, id: idOf(id, i) })),
  });
  const entities = (type: string, fields: string) =>
    `query ($r: [_Any!]!) { _entities(representations: $r) { ... on ${type} { ${fields} } } }`;

  it('is the same statements for lists of 1, 50 and 500 connections', async () => {
    const found = await forEverySize(`{ connections { ${everything} } }`, 6);
    expect(found.map((list) => list.length)).toEqual(sizes);
    for (const list of found)
      for (const one of list)
        expect(one).toMatchObject({
          syncStatuses: [{ recordCount: 1 }],
          records: {
            nodes: expect.arrayContaining([expect.objectContaining({ payload: { of: one.id } })]) as unknown,
          },
          events: { nodes: [{ syncStatus: { id: `${String(one.id)}/Invoice` } }] },
          deliveries: { nodes: [{ status: 'DEAD' }] },
        });
  });

  it.each([
    ['an integration', 'integrationId: "quickbooks"', 1],
    ['a status', 'status: [ACTIVE, DISCONNECTED]', 1],
    ['both', 'integrationId: "quickbooks", status: ACTIVE', 0],
  ])('is the same statements for lists of %s', async (_what, filters, all) => {
    const few = [1, 50];
    const found = await forEverySize(`{ connections(${filters}) { ${everything} } }`, 6, undefined, few);
    expect(found.map((list) => list.length)).toEqual(few.map((size) => (all ? size : 1)));
  });

  it('is the same statements for 1, 50 and 500 references to connections', async () => {
    const found = await forEverySize(
      entities('Connection', everything),
      6,
      references('Connection', (id) => id),
    );
    for (const [i, list] of found.entries()) expect(list.map(({ id }) => id)).toEqual(known.get(sizes[i]!));
  });

  it('is the same statements for 1, 50 and 500 references to sync statuses', async () => {
    const fields = 'id state recordCount nextPollAt connection { id status }';
    const idOf = (id: string) => `${id}/Invoice`;
    const found = await forEverySize(entities('SyncStatus', fields), 2, references('SyncStatus', idOf));
    for (const list of found) for (const one of list) expect(one).toMatchObject({ recordCount: 1 });
  });

  it('is the same statements for 1, 50 and 500 references to records of which we have a copy', async () => {
    const fields = 'id payload updatedAt fetchedAt deleted stale connection { id status }';
    // Only what is connected is answered: all are records of that one.
    const idOf = (_: string, i: number) => `ACTIVE/Invoice/${i + 1}`;
    const of = (size: number) => ({
      r: references(
        'ExternalRecord',
        idOf,
      )(size).r.map(({ __typename, id }) => ({
        __typename,
        id: id.replace('ACTIVE', known.get(size)![0]!),
      })),
    });
    const found = await forEverySize(entities('ExternalRecord', fields), 2, of);
    expect(found.map((list) => list.length)).toEqual(sizes);
    for (const list of found) for (const one of list) expect(one).toMatchObject({ stale: false });
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

/** One that is ACTIVE, with as many records, and others that are over, each with one of everything. */
async function fill({ db }: TestCore, accountId: string, size: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    insert into connections (account_id, id, integration_id, status, external_id, scopes, generation)
    select ${accountId}, gen_random_uuid(), 'quickbooks', case i when 1 then 'ACTIVE' else 'DISCONNECTED' end, 'realm',
      '{}', 1
    from generate_series(1, ${size}::int) i returning id`.execute(db);
  const statements = [
    sql`insert into sync_statuses (account_id, connection_id, resource, record_count)
      select account_id, id, 'Invoice', 1 from connections where account_id = ${accountId}`,
    sql`insert into sync_rounds (account_id, connection_id, resource, next_poll_at)
      select account_id, id, 'Invoice', now() + interval '1 hour' from connections where account_id = ${accountId}`,
    sql`insert into external_records (account_id, connection_id, resource, external_id, payload, fetched_at,
        account_external_id)
      select account_id, id, 'Invoice', i, jsonb_build_object('of', id), now(), external_id
      from connections, generate_series(1, case status when 'ACTIVE' then ${size}::int else 1 end) i
      where account_id = ${accountId}`,
    sql`insert into sync_events (account_id, sequence, id, kind, source, connection_id, integration_id, generation,
        resource, occurred_at)
      select account_id, row_number() over (), gen_random_uuid(), 'SYNC_COMPLETED', 'POLL', id, integration_id, 1,
        'Invoice', now() from connections where account_id = ${accountId}`,
    sql`insert into webhook_deliveries (id, account_id, integration_id, connection_id, event_id, status, notice)
      select gen_random_uuid(), account_id, integration_id, id, id, 'DEAD', '{"kind":"missed"}'
      from connections where account_id = ${accountId}`,
  ];
  for (const statement of statements) await statement.execute(db);
  return rows.map((row) => row.id);
}
