import { getOperationAST, parse, type ExecutionResult } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createContext, forgetAsked, type Context } from '../../resolvers/context.ts';
import { createSchema } from '../../resolvers/index.ts';
import { systemClock } from '../../src/clock.ts';
import { createExecute } from '../../src/execution/executor.ts';
import { identityOf, openCore, type TestCore } from '../support/core.ts';
import { embeddedDatabase } from '../support/databases.ts';
import { randomDocuments } from '../support/fuzz/documents.ts';
import { sequence } from '../support/fuzz/values.ts';
import { known } from './chaos.ts';

const schema = createSchema();
const unknown = '00000000-0000-4000-8000-000000000000';

/** What the product answers and what that costs, by graphql-js and compiled. */
describe('the product', () => {
  const compiled = createExecute<Context>(schema, forgetAsked, systemClock, { atExecution: 1, restMs: 0 });
  const interpreted = createExecute<Context>(schema, forgetAsked, systemClock, {
    atExecution: Infinity,
    restMs: 0,
  });
  let product: TestCore;
  let id: string;
  beforeAll(async () => {
    product = await openCore(embeddedDatabase, { recordMaxAgeSeconds: 3_600 });
    ({ id } = await product.connected('acme'));
    await product.query(
      `{ connection(id: "${id}") { profile { name } record(resource: "Invoice", externalId: "41") { id } } }`,
    );
  });
  afterAll(() => product.close());

  const ask = async (
    run: typeof compiled,
    query: string,
    variables: Record<string, unknown>,
    operationName?: string,
  ) => {
    const document = parse(query);
    const operation = getOperationAST(document, operationName)!;
    const contextValue = createContext(product, identityOf('acme'));
    product.statements.length = 0;
    const answer = await run({ document, operation, operationName, variables, contextValue });
    return { ...seen(answer), calls: contextValue.calls, statements: product.statements.length };
  };
  const entities = `query ($r: [_Any!]!) { _entities(representations: $r) { __typename
    ... on Connection { id status problem { code } account { id } integration { name } }
    ... on SyncStatus { id resource state connection { id } }
    ... on ExternalRecord { id resource externalId deleted stale payload connection { id } }
    ... on Integration { id connection { id } } ... on Account { id connections { id } } } }`;
  const representation = (typename: string, of: string) => ({ __typename: typename, id: of });
  const operations: [string, Record<string, unknown>?][] = [
    ['{ __typename }'],
    ['{ integrations { id name auth scopes resources deliversWebhooks health connection { id } } }'],
    ['{ connections(status: ACTIVE) { id status externalId scopes rateLimit { limit windowSeconds } } }'],
    [
      'query ($id: ID!) { connection(id: $id) { ...C } } fragment C on Connection { id problem { code } }',
      { id: '?' },
    ],
    [
      '{ connections { syncStatuses(resource: "Invoice") { id state delivery problem { message } progress { done } } } }',
    ],
    [
      '{ connections { events(first: 2) { nodes { id cursor kind connection { id } } pageInfo { hasNextPage } } } }',
    ],
    ['{ connections { records(resource: "Invoice") { nodes { id payload } pageInfo { endCursor } } } }'],
    ['{ connections { records(resource: "Nothing") { nodes { id } } id } }'],
    ['{ connections { events(first: 1000) { nodes { id } } } }'],
    [
      '{ connections { record(resource: "Invoice", externalId: "41", maxAgeSeconds: 3600) { id payload stale } } }',
    ],
    ['{ connections { record(resource: "Invoice", externalId: "not there") { id } status } }'],
    ['{ connections { record(resource: "Invoice", externalId: "41", maxAgeSeconds: -1) { id } status } }'],
    ['{ connections { webhookUrl deliveries { nodes { id } } } }'],
    ['{ a: connections { b: id c: integration { d: name } } }'],
    [
      'query ($with: Boolean!) { connections { id @include(if: $with) status @skip(if: $with) } }',
      { with: true },
    ],
    ['query ($id: ID!) { connection(id: $id) { id } }'],
    ['{ _service { sdl } }'],
    [entities, { r: [] }],
    [
      entities,
      {
        r: [
          representation('Connection', '?'),
          representation('Connection', unknown),
          representation('SyncStatus', '?/Invoice'),
          representation('SyncStatus', 'nothing'),
          representation('ExternalRecord', '?/Invoice/41'),
          representation('ExternalRecord', `${unknown}/Invoice/41`),
          representation('Integration', 'quickbooks'),
          representation('Integration', 'none'),
          representation('Account', 'acme'),
          representation('Account', 'rival'),
        ],
      },
    ],
    [
      entities,
      { r: [{ id: '?' }, representation('PageInfo', 'a'), 'text', representation('Connection', '?')] },
    ],
  ];

  it('answers alike, at the same cost', async () => {
    for (const [query, given = {}] of operations) {
      const variables = JSON.parse(JSON.stringify(given).replaceAll('?', id)) as Record<string, unknown>;
      const expected = await ask(interpreted, query, variables);
      expect(await ask(compiled, query, variables)).toEqual(expected);
    }
  });

  it('answers alike whatever is asked, wherever the provider is not', async () => {
    const roots = new Set(['integrations', 'integration', 'connections', 'connection', '_entities']);
    const kinds = { query: 1, mutation: 0, subscription: 0 };
    const own = { ...known, connections: [id, unknown] };
    const next = randomDocuments(schema, own, sequence(5), { roots, kinds, conditions: 0 });
    const withoutProvider = (query: string) => !/\b(profile|record)\b/.test(query);
    const some = Array.from({ length: 100 }, next).filter(({ query }) => withoutProvider(query));
    for (const { query, variables, operationName } of some) {
      // graphql-js answers before all that it has asked for is there, where a field that may not be null is.
      const answer = async (run: typeof compiled) => {
        const { data, errors } = await ask(run, query, variables, operationName);
        return { query, data, errors };
      };
      expect(await answer(compiled)).toEqual(await answer(interpreted));
    }
  });

  it('asks a provider that fails, and the database, no second time', async () => {
    await product.admin('POST', 'faults', { status: 400, count: 1_000, match: { pathContains: '/v3/' } });
    const query = `{ connections { id profile { name } a: record(resource: "Invoice", externalId: "77", maxAgeSeconds: 0) { id } } }`;
    const expected = await ask(interpreted, query, {});
    const found = await ask(compiled, query, {});
    await product.admin('DELETE', 'faults');
    expect(expected.errors.length).toBeGreaterThan(0);
    expect(found).toEqual(expected);
    expect(found.calls).toEqual({ asked: 2, made: 2 });
  });
});

/** As it leaves, but for what is another each time. */
function seen({ data, errors = [] }: ExecutionResult) {
  const left = JSON.parse(JSON.stringify({ data })) as { data: unknown };
  return {
    ...left,
    errors: errors.map(({ message, path, locations, extensions: { code } }) => ({
      message,
      path,
      locations,
      code,
    })),
  };
}
