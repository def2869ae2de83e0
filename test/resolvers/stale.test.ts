import { randomUUID } from 'node:crypto';
import type { ExecutionResult } from 'graphql';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createLoaders } from '../../resolvers/loaders.ts';
import type { Connection } from '../../src/connections/connection.ts';
import type { IntegrationError } from '../../src/errors.ts';
import { identityOf, openCore, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { otherRealmId } from '../support/sandbox.ts';

const deadlineMs = 400;
/** One for each test: what one test does to an integration's breaker and queue is not the next one's. */
const integrations = Array.from({ length: 40 }, (_, i) => `other-${i}`);

const recordQuery = `query ($id: ID!, $record: ID = "41", $age: Int, $wait: Int) { connection(id: $id) {
  record(resource: "Invoice", externalId: $record, maxAgeSeconds: $age, maxWaitMs: $wait) {
    id payload updatedAt fetchedAt deleted stale } } }`;
const profileQuery = 'query ($id: ID!) { connection(id: $id) { profile { id name url fetchedAt stale } } }';
const entityQuery = `query ($r: [_Any!]!) { _entities(representations: $r) {
  ... on ExternalRecord { id payload updatedAt fetchedAt deleted stale } } }`;

const codesOf = (errors: ExecutionResult['errors']) =>
  (errors ?? []).map(({ originalError }) => (originalError as IntegrationError).code);

interface Read {
  payload: Record<string, unknown> | null;
  fetchedAt: Date;
  deleted: boolean;
  stale: boolean;
}

describe.each(databaseKinds)('what the provider cannot be asked, %s', (_kind, open) => {
  let product: TestCore;
  let account: string;
  let integrationId: string;
  let connection: Connection;
  const left = [...integrations];
  beforeAll(async () => {
    product = await openCore(open, { alsoKnownAs: integrations, interactiveDeadlineMs: deadlineMs });
  });
  afterAll(() => product.close());
  beforeEach(async () => {
    await product.admin('DELETE', 'faults');
    account = randomUUID();
    integrationId = left.pop()!;
    connection = await product.connected(account, {}, integrationId);
    await product.admin('DELETE', 'requests');
  });

  const fault = (rule: object, pathContains = '/v3/company/') =>
    product.admin('POST', 'faults', { count: 1_000, match: { pathContains }, ...rule });
  const ask = (source: string, variables: object = {}) =>
    product.query(source, { id: connection.id, ...variables }, account);
  const record = async (variables: object = {}) => {
    const { data, errors } = await ask(recordQuery, variables);
    const read = (data!.connection as { record: Read | null }).record;
    return { read, code: codesOf(errors)[0] };
  };
  const profile = async () => {
    const { data, errors } = await ask(profileQuery);
    const read = (data!.connection as { profile: (Read & { name: string }) | null }).profile;
    return { read, code: codesOf(errors)[0] };
  };
  const entity = async () => {
    const r = [{ __typename: 'ExternalRecord', id: `${connection.id}/Invoice/41` }];
    const { data, errors } = await ask(entityQuery, { r });
    return { read: (data!._entities as (Read | null)[])[0]!, code: codesOf(errors)[0] };
  };
  const reads = { record, profile, entity };
  const calls = async () => (await product.requests('/v3/company/')).length;

  const passing: [string, object][] = [
    ['PROVIDER_ERROR', { status: 503 }],
    ['NETWORK_ERROR', { drop: true }],
    ['RATE_LIMITED', { status: 429, headers: { 'retry-after': '60' } }],
    ['DEADLINE_EXCEEDED', { delayMs: 60_000 }],
  ];
  it.each(passing)(
    'is answered with what was last known on %s, and null where nothing is',
    async (code, rule) => {
      const live = { record: await record(), profile: await profile(), entity: await entity() };
      expect(live.record.read).toMatchObject({ payload: { Id: '41' }, stale: false, deleted: false });
      expect(live.profile.read).toMatchObject({ name: expect.any(String) as string, stale: false });
      await fault(rule);
      const unknown = await record({ record: '42' });
      expect(unknown).toEqual({ read: null, code });
      for (const [name, read] of Object.entries(reads)) {
        const before = name === 'profile' ? live.profile.read : live.entity.read;
        expect(await read()).toEqual({ read: { ...before, stale: true }, code: undefined });
      }
    },
  );

  it.each([
    ['TIMEOUT', { requestTimeoutMs: 50 }, { delayMs: 60_000 }],
    ['CIRCUIT_OPEN', {}, { status: 503 }],
  ])('is answered with what was last known on %s', async (code, settings, rule) => {
    const own = await openCore(open, settings);
    try {
      const { id } = await own.connected('acme');
      await own.query(recordQuery, { id });
      await own.admin('POST', 'faults', { count: 1_000, match: { pathContains: '/v3/company/' }, ...rule });
      // Without anything stored the code shows which failure it is.
      for (let tries = 0; ; tries++) {
        const { errors } = await own.query(recordQuery, { id, record: '42' });
        if (codesOf(errors)[0] === code) break;
        expect(tries).toBeLessThan(20);
      }
      const { data, errors } = await own.query(recordQuery, { id });
      expect(errors).toBeUndefined();
      expect(data?.connection).toMatchObject({ record: { payload: { Id: '41' }, stale: true } });
    } finally {
      await own.close();
    }
  });

  it.each([
    ['FORBIDDEN', { status: 400, body: { Fault: { Error: [{ code: '6190' }], type: 'ValidationFault' } } }],
    ['REAUTHORIZATION_REQUIRED', { status: 401 }],
    ['VALIDATION_FAILED', { status: 400 }],
    ['CONFLICT', { status: 400, body: { Fault: { Error: [{ code: '5010' }], type: 'ValidationFault' } } }],
  ])('is an error on %s, whatever is known', async (code, rule) => {
    await record();
    await profile();
    await fault(rule);
    expect(await record()).toEqual({ read: null, code });
    expect(await entity()).toEqual({ read: null, code });
    expect(await profile()).toEqual({ read: null, code });
    expect(await record({ age: 3_600 })).toMatchObject(
      code === 'REAUTHORIZATION_REQUIRED' ? { read: null, code } : { read: { stale: false } },
    );
  });

  it('is an error once it is disconnected', async () => {
    await record();
    await profile();
    await product.connections.disconnect(identityOf(account), connection.id);
    const nothing = { read: null, code: 'NOT_CONNECTED' };
    expect(await record({ age: 3_600 })).toEqual(nothing);
    expect(await entity()).toEqual(nothing);
    expect(await profile()).toEqual(nothing);
  });

  it('is never answered with what another account or another external account had', async () => {
    await record();
    await profile();
    const mine = connection;
    [account, connection] = ['rival', await product.connected('rival', {}, integrationId)];
    await fault({ status: 503 });
    expect(await record()).toMatchObject({ read: null });
    expect(await profile()).toMatchObject({ read: null });
    await product.db
      .updateTable('connections')
      .set({ external_id: otherRealmId })
      .where('id', '=', mine.id)
      .execute();
    [account, connection] = [mine.accountId, mine];
    expect(await record({ age: 3_600 })).toMatchObject({ read: null });
    expect(await entity()).toMatchObject({ read: null });
    expect(await profile()).toMatchObject({ read: null });
  });

  it('is known to be deleted where that was the last answer', async () => {
    await record();
    const gone = { QueryResponse: {} };
    await fault({ body: gone, count: 1 });
    expect(await record()).toEqual({ read: null, code: undefined });
    await fault({ status: 503 });
    expect((await record()).read).toMatchObject({ payload: null, deleted: true, stale: true });
    expect((await entity()).read).toMatchObject({ payload: null, deleted: true, stale: true });
  });

  it('is answered after maxWaitMs, while the read goes on and is stored', async () => {
    const { read: before } = await record();
    await product.db
      .updateTable('external_records')
      .set({ payload: JSON.stringify({ Id: '41', old: true }), updated_at: new Date(0) })
      .where('account_id', '=', account)
      .execute();
    await fault({ delayMs: 200 });
    expect(await record({ record: '42', wait: 20 })).toEqual({ read: null, code: 'DEADLINE_EXCEEDED' });
    const { read, code } = await record({ wait: 20 });
    expect(code).toBeUndefined();
    expect(read).toMatchObject({ payload: { old: true }, stale: true, fetchedAt: before!.fetchedAt });
    await expect
      .poll(async () => (await record({ age: 3_600 })).read)
      .toMatchObject({ payload: before!.payload, stale: false });
  });

  it('is not asked for while a stored record is young enough', async () => {
    const { read: first } = await record();
    expect((await record({ age: 60 })).read).toEqual(first);
    expect(await calls()).toBe(1);
    expect((await record({ age: 0 })).read).not.toEqual(first);
    expect((await record()).read).toMatchObject({ stale: false });
    expect(await calls()).toBe(3);
    product.clock.shift(61_000);
    expect((await record({ age: 60 })).read).toMatchObject({ stale: false });
    expect(await calls()).toBe(4);
  });

  it('delays neither what needs no provider nor another connection', async () => {
    const sibling = await product.connected(account, { realmId: otherRealmId }, left.pop()!);
    await fault({ delayMs: 60_000 }, `/v3/company/${connection.externalId}`);
    const answered: string[] = [];
    const loaders = createLoaders(product, account, { asked: 0, made: 0 });
    const startedAt = performance.now();
    const [hanging, quick] = [connection, sibling].map((one) => ({
      profile: loaders.profile(one).finally(() => answered.push(`profile of ${one.id}`)),
      record: loaders
        .record({ connection: one, resource: 'Invoice', externalId: '41' })
        .finally(() => answered.push(`record of ${one.id}`)),
    }));
    await Promise.all([quick!.profile, quick!.record]);
    expect(performance.now() - startedAt).toBeLessThan(deadlineMs / 2);
    expect(answered.toSorted()).toEqual([`profile of ${sibling.id}`, `record of ${sibling.id}`]);
    const failed = await Promise.allSettled([hanging!.profile, hanging!.record]);
    expect(failed).toMatchObject([
      { reason: { problem: { code: 'DEADLINE_EXCEEDED' } } },
      { reason: { problem: { code: 'DEADLINE_EXCEEDED' } } },
    ]);
  });

  it('ends the whole request with its deadline, and the siblings are answered', async () => {
    const sibling = await product.connected(account, { realmId: otherRealmId }, left.pop()!);
    await fault({ delayMs: 60_000 }, `/v3/company/${connection.externalId}`);
    const startedAt = performance.now();
    const { data, errors } = await ask(
      '{ connections { id status profile { id stale } record(resource: "Invoice", externalId: "41") { stale } } }',
    );
    expect(performance.now() - startedAt).toBeLessThan(deadlineMs + 600);
    const of = new Map((data!.connections as { id: string }[]).map((one) => [one.id, one]));
    expect(of.get(sibling.id)).toMatchObject({
      status: 'ACTIVE',
      profile: { id: otherRealmId, stale: false },
    });
    expect(of.get(connection.id)).toMatchObject({ status: 'ACTIVE', profile: null, record: null });
    expect(codesOf(errors)).toEqual(['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED']);
  });
});

describe.each(databaseKinds)('RECORD_MAX_AGE_SECONDS, %s', (_kind, open) => {
  it('holds for references and for records that say nothing, in one statement', async () => {
    const product = await openCore(open, { recordMaxAgeSeconds: 60 });
    try {
      const { id } = await product.connected('acme');
      const all = Array.from({ length: 45 }, (_, i) => ({
        __typename: 'ExternalRecord',
        id: `${id}/Invoice/${41 + i}`,
      }));
      const { data: first } = await product.query(entityQuery, { r: all });
      const known = (first!._entities as ({ id: string } | null)[]).filter((one) => one !== null);
      expect(known.length).toBeGreaterThan(10);
      await product.admin('DELETE', 'requests');
      const spent = [];
      for (const some of [known.slice(0, 1), known]) {
        product.statements.length = 0;
        const r = some.map(({ id }) => ({ __typename: 'ExternalRecord', id }));
        const { data } = await product.query(entityQuery, { r });
        expect(data?._entities).toEqual(some);
        spent.push(product.statements.length);
      }
      // The connections and the records.
      expect(spent).toEqual([2, 2]);
      expect(await product.requests('/v3/company/')).toHaveLength(0);
      await product.query(recordQuery, { id });
      expect(await product.requests('/v3/company/')).toHaveLength(0);
      await product.query(recordQuery, { id, age: 0 });
      expect(await product.requests('/v3/company/')).toHaveLength(1);
    } finally {
      await product.close();
    }
  });
});
