import { randomUUID } from 'node:crypto';
import {
  execute,
  parse,
  subscribe,
  type ExecutionArgs,
  type ExecutionResult,
  type GraphQLObjectType,
  type GraphQLSchema,
} from 'graphql';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  badUserInput,
  createContext,
  forgetAsked,
  renewLoaders,
  requireScope,
  viewer,
  type Context,
} from '../../resolvers/context.ts';
import { createSchema, resolvers } from '../../resolvers/index.ts';
import type { Identity } from '../../src/identity.ts';
import { identityOf, openCore, type TestCore } from '../support/core.ts';
import { postgresDatabase } from '../support/databases.ts';

/** One operation for each root field. */
const operations: Record<string, Record<string, string>> = {
  Query: {
    integrations: '{ integrations { id } }',
    integration: '{ integration(id: "quickbooks") { id } }',
    connections: '{ connections { id } }',
    connection: 'query ($id: ID!) { connection(id: $id) { id } }',
    _entities: '{ _entities(representations: [{ __typename: "Account", id: "acme" }]) { __typename } }',
  },
  Mutation: {
    connect: 'mutation { connect(input: { integrationId: "none" }) { problem { code } } }',
    completeConnect: 'mutation { completeConnect(input: { completionCode: "x" }) { problem { code } } }',
    ...Object.fromEntries(
      ['refresh', 'disconnect', 'syncConnection'].map((name) => [
        name,
        `mutation ($id: ID!) { ${name}(input: { connectionId: $id }) { problem { code } } }`,
      ]),
    ),
    setWebhookSecret:
      'mutation ($id: ID!) { setWebhookSecret(input: { connectionId: $id, secret: "x" }) { problem { code } } }',
    redriveDeliveries:
      'mutation ($id: ID!) { redriveDeliveries(input: { deliveryIds: [$id] }) { problem { code } } }',
  },
  Subscription: {
    connectionChanged: 'subscription { connectionChanged { id status } }',
    syncEvents: 'subscription { syncEvents { id } }',
  },
};
const all = Object.entries(operations).flatMap(([type, fields]) =>
  Object.entries(fields).map(([name, source]): [string, string] => [`${type}.${name}`, source]),
);
const ofType = (type: string) => all.filter(([name]) => name.startsWith(`${type}.`));

const unauthenticated = {
  message: 'This needs an identity: send Authorization: Bearer <token>.',
  extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } },
};
const forbidden = (scope: string) => ({
  message: `This needs the scope ${scope}.`,
  extensions: { code: 'FORBIDDEN' },
});
const withScopes = (...scopes: string[]): Identity => ({ ...identityOf('acme'), scopes: new Set(scopes) });

describe('the schema', () => {
  let product: TestCore;
  let schema: GraphQLSchema;
  const id = '0f9a4b7c-1234-4abc-8def-00123456789a';
  beforeAll(async () => {
    schema = createSchema();
    product = await openCore(postgresDatabase);
    for (const account_id of ['acme', 'rival'])
      await product.db
        .insertInto('connections')
        .values({ account_id, id, integration_id: 'quickbooks', status: 'PENDING' })
        .execute();
  });
  afterAll(() => product.close());
  beforeEach(() => {
    product.statements.length = 0;
  });

  const argsOf = (source: string, context: Context, variables = {}, own = schema): ExecutionArgs => ({
    schema: own,
    document: parse(source),
    variableValues: { id, ...variables },
    contextValue: context,
  });
  const run = async (source: string, identity: Identity | undefined, variables = {}) =>
    execute(argsOf(source, createContext(product, identity), variables));
  const seen = ({ errors = [] }: ExecutionResult) =>
    errors.map(({ message, extensions }) => ({ message, extensions }));
  const follow = (source: string, identity: Identity | undefined, own = schema) => {
    const following = { resumeAfter: undefined, onTooSlow: () => undefined };
    return subscribe(argsOf(source, { ...createContext(product, identity), following }, {}, own));
  };

  it('has an operation here for each of its root fields, but for the one that is open', () => {
    const fields = (type: GraphQLObjectType) => Object.keys(type.getFields()).toSorted();
    for (const [name, own] of Object.entries(operations))
      expect(fields(schema.getType(name) as GraphQLObjectType).filter((one) => one !== '_service')).toEqual(
        Object.keys(own).toSorted(),
      );
  });

  it.each(all)('refuses who has no identity, and asks the database nothing: %s', async (_name, source) => {
    const answer = await run(source, undefined);
    expect(seen(answer)).toEqual([unauthenticated]);
    expect(Object.values(answer.data ?? {}).filter((value) => value !== null)).toEqual([]);
    expect(product.statements).toEqual([]);
  });

  it.each(ofType('Subscription'))('starts nothing for who has no identity: %s', async (_name, source) => {
    expect(seen((await follow(source, undefined)) as ExecutionResult)).toEqual([unauthenticated]);
    expect(product.statements).toEqual([]);
  });

  it('refuses who has no identity even where a resolver forgets to ask', async () => {
    const { Subscription, Query } = resolvers;
    const asked: unknown[] = [];
    const forgets = (...given: unknown[]) => {
      asked.push(given);
      return product.feed.follow('acme', { isWanted: () => false, onTooSlow: () => undefined });
    };
    resolvers.Subscription = { syncEvents: { subscribe: forgets as never } };
    resolvers.Query = { integrations: forgets as never };
    try {
      const own = createSchema();
      const followed = await follow(operations.Subscription!.syncEvents!, undefined, own);
      expect(seen(followed as ExecutionResult)).toEqual([unauthenticated]);
      const source = operations.Query!.integrations!;
      const answer = await execute(argsOf(source, createContext(product, undefined), {}, own));
      expect(seen(answer)).toEqual([unauthenticated]);
      expect(asked).toEqual([]);
      const events = await follow(operations.Subscription!.syncEvents!, identityOf('acme'), own);
      expect(asked).toHaveLength(1);
      await (events as AsyncIterableIterator<ExecutionResult>).return!();
    } finally {
      Object.assign(resolvers, { Subscription, Query });
    }
  });

  it('tells anybody what it is', async () => {
    const { data, errors } = await run('{ _service { sdl } }', undefined);
    expect(errors).toBeUndefined();
    expect((data as { _service: { sdl: string } })._service.sdl).toContain('type WebhookDelivery');
  });

  it.each(ofType('Mutation'))('changes nothing for who may only read: %s', async (_name, source) => {
    for (const scopes of [['integrations:read', 'integrations:admin'], []])
      expect(await run(source, withScopes(...scopes)).then(seen)).toEqual([forbidden('integrations:write')]);
    expect(product.statements).toEqual([]);
  });

  it('redrives nothing for who may write and is no operator', async () => {
    const answer = await run(operations.Mutation!.redriveDeliveries!, withScopes('integrations:write'));
    expect(seen(answer)).toEqual([forbidden('integrations:admin')]);
    expect(product.statements).toEqual([]);
  });

  it.each(ofType('Query'))('asks no scope of who reads: %s', async (name, source) => {
    const { data, errors } = await run(source, withScopes());
    expect(errors).toBeUndefined();
    const integration = { id: 'quickbooks' };
    const expected: Record<string, unknown> = {
      integrations: [integration, { id: 'slack' }, { id: 'mycarrierpackets' }],
      integration,
      connections: [{ id }],
      connection: { id },
      _entities: [{ __typename: 'Account' }],
    };
    const field = name.split('.')[1]!;
    expect(data).toEqual({ [field]: expected[field] });
  });

  it('asks no scope of who follows', async () => {
    const events = (await follow(
      operations.Subscription!.connectionChanged!,
      withScopes(),
    )) as AsyncIterableIterator<ExecutionResult>;
    const { value } = (await events.next()) as { value: ExecutionResult };
    await events.return!();
    expect(value).toEqual({ data: { connectionChanged: { id, status: 'PENDING' } } });
  });

  it.each([
    ['connect', 'NOT_FOUND'],
    ['completeConnect', 'NOT_FOUND'],
    ['refresh', 'NOT_CONNECTED'],
    ['syncConnection', 'NOT_CONNECTED'],
    ['setWebhookSecret', 'INVALID_INPUT'],
    ['redriveDeliveries', 'NOT_FOUND'],
    ['disconnect', undefined],
  ])('lets %s go on for who may write', async (name, code) => {
    const { data, errors } = await run(operations.Mutation![name]!, identityOf('acme'));
    expect(errors).toBeUndefined();
    expect(data).toEqual({ [name]: { problem: code === undefined ? null : { code } } });
    const rows = await product.db.selectFrom('connections').select(['account_id', 'status']).execute();
    const status = name === 'disconnect' ? 'DISCONNECTED' : 'PENDING';
    expect(rows).toContainEqual({ account_id: 'acme', status });
    expect(rows).toContainEqual({ account_id: 'rival', status: 'PENDING' });
  });

  describe('a representation', () => {
    const source = `query ($r: [_Any!]!) { _entities(representations: $r) {
      __typename ... on Account { id } ... on Integration { id } ... on Connection { id } } }`;
    const of = (__typename: unknown, own: unknown = id) => ({ __typename, id: own });
    const noType =
      'representations: __typename must be one of Account, Integration, Connection, SyncStatus, ExternalRecord.';
    const noId = 'representations: id must be a string.';

    const typeless = [
      ...[of('Nope'), of('PageInfo'), of('WebhookDelivery'), of('Query'), of('account'), of('')],
      ...[of(['Account']), of('__proto__'), of('constructor'), { id }, {}, { __typename: 5 }],
      ...['Account', 7, false, ['Account', id]],
    ];
    const nameless = [
      ...[{ __typename: 'Account' }, of('Connection', 5), of('ExternalRecord', null)],
      ...[of('SyncStatus', [id]), of('Integration', {})],
    ];

    it.each([
      ...typeless.map((one): [unknown, string] => [one, noType]),
      ...nameless.map((one): [unknown, string] => [one, noId]),
    ])('that is none fails alone: %j', async (wrong, message) => {
      const good = [of('Account', 'acme'), of('Integration', 'slack'), of('Connection')];
      const r = [good[0], wrong, good[1], wrong, good[2]];
      const { data, errors } = await run(source, identityOf('acme'), { r });
      expect(data?._entities).toEqual([good[0], null, good[1], null, good[2]]);
      const mistake = { message, extensions: { code: 'BAD_USER_INPUT' } };
      expect(errors?.map(({ path }) => path)).toEqual([1, 3].map((place) => ['_entities', place]));
      expect(seen({ errors: errors! })).toEqual([mistake, mistake]);
    });

    it('that is none fails where it is null, which no document can say', async () => {
      const { resolve } = schema.getQueryType()!.getFields()._entities!;
      const context = createContext(product, identityOf('acme'));
      const answers = (await resolve!(
        undefined,
        { representations: [null, undefined] },
        context,
        {} as never,
      )) as Error[];
      expect(answers.map(({ message }) => message)).toEqual([noType, noType]);
    });

    it.each(['Account', 'Integration', 'Connection', 'SyncStatus', 'ExternalRecord'])(
      'of a type that can be referred to is looked for: %s',
      async (typename) => {
        const { data, errors } = await run(source, identityOf('acme'), { r: [of(typename)] });
        expect(errors).toBeUndefined();
        const found = { Account: of('Account'), Connection: of('Connection') };
        expect(data?._entities).toEqual([found[typename as 'Account'] ?? null]);
      },
    );

    it('need not be there', async () => {
      expect(await run(source, identityOf('acme'), { r: [] })).toEqual({ data: { _entities: [] } });
    });
  });

  it('says of a delivery which integration and connection it is for, of one that nobody claims none', async () => {
    const add = async (connection_id: string | null) => {
      const delivery = { id: randomUUID(), event_id: 'e', notice: JSON.stringify({ kind: 'missed' }) };
      await product.db
        .insertInto('webhook_deliveries')
        .values({ ...delivery, account_id: 'acme', integration_id: 'quickbooks', connection_id })
        .execute();
      return delivery.id;
    };
    const deliveryIds = [await add(id), await add(null)];
    const { data, errors } = await run(
      `mutation ($deliveryIds: [ID!]!) { redriveDeliveries(input: { deliveryIds: $deliveryIds }) {
        deliveries { id integration { id name } connection { id account { id } } } } }`,
      identityOf('acme'),
      { deliveryIds },
    );
    expect(errors).toBeUndefined();
    const integration = { id: 'quickbooks', name: 'QuickBooks Online' };
    expect(data).toEqual({
      redriveDeliveries: {
        deliveries: [
          { id: deliveryIds[0], integration, connection: { id, account: { id: 'acme' } } },
          { id: deliveryIds[1], integration, connection: null },
        ],
      },
    });
  });

  describe('what a request carries', () => {
    it('is read once until the loaders are renewed; what was counted goes on', async () => {
      const context = createContext(product, identityOf('rival'));
      expect(context.calls).toEqual({ asked: 0, made: 0 });
      const { calls, loaders } = context;
      const status = async () => (await context.loaders.connection.load(id))?.status;
      const set = (to: 'ACTIVE' | 'PENDING') =>
        product.db.updateTable('connections').set({ status: to }).where('account_id', '=', 'rival').execute();
      expect(await status()).toBe('PENDING');
      await set('ACTIVE');
      expect(await status()).toBe('PENDING');
      renewLoaders(context);
      expect(context.loaders).not.toBe(loaders);
      expect(await status()).toBe('ACTIVE');
      await set('PENDING');
      expect(context.calls).toBe(calls);
      const connection = (await context.loaders.connection.load(id))!;
      await expect(context.loaders.profile(connection)).rejects.toThrow(/./);
      expect(calls.asked).toBe(1);
    });

    it('has nothing to read with for who has no identity', () => {
      const context = createContext(product, undefined);
      renewLoaders(context);
      expect(context.loaders).toBeUndefined();
    });

    it('forgets what was asked of providers, and not what was sent to them', () => {
      const context = createContext(product, identityOf('acme'));
      Object.assign(context.calls, { asked: 3, made: 2 });
      forgetAsked(context);
      expect(context.calls).toEqual({ asked: 0, made: 2 });
    });

    it('tells who asks and what they may', () => {
      const identity = withScopes('integrations:write');
      const context = createContext(product, identity);
      expect(viewer(context)).toBe(identity);
      expect(() => requireScope(context, 'integrations:write')).not.toThrow();
      const refusal = (of: Context) => {
        try {
          requireScope(of, 'integrations:admin');
        } catch (error) {
          return seen({ errors: [error as never] })[0];
        }
      };
      expect(refusal(context)).toEqual(forbidden('integrations:admin'));
      expect(refusal(createContext(product, undefined))).toEqual(unauthenticated);
      expect(seen({ errors: [badUserInput('No.')] })).toEqual([
        { message: 'No.', extensions: { code: 'BAD_USER_INPUT' } },
      ]);
    });
  });
});
