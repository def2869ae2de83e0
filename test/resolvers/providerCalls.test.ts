import { once } from 'node:events';
import { getOperationAST, parse } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createContext } from '../../resolvers/context.ts';
import { createSchema } from '../../resolvers/index.ts';
import { plannedCalls } from '../../resolvers/providerCalls.ts';
import { lacking } from '../../src/connections/budgets.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';
import { identityOf } from '../support/core.ts';
import { embeddedDatabase } from '../support/databases.ts';
import { openEdge, stream, type Edge, type Result, type TestAccount } from '../subscriptions/support.ts';

interface Body {
  query: string;
  variables?: Record<string, unknown>;
}

const schema = createSchema();
const many = (count: number, of: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => of(i)).join(' ');
/** As many calls as ids: what is asked for alone is read alone. */
const references = `query ($r: [_Any!]!) { _entities(representations: $r) { ... on ExternalRecord { id payload } } }`;

describe('provider calls', () => {
  let edge: Edge;
  let acme: TestAccount;
  let id: string;
  beforeAll(async () => {
    edge = await openEdge(
      embeddedDatabase,
      {},
      { alsoKnownAs: Array.from({ length: 20 }, (_, i) => `limited-${i}`) },
    );
    acme = await edge.account('acme');
    ({ id } = acme.connection);
  });
  afterAll(() => edge?.close());

  const overHttp = async (body: Body) => {
    const answer = await edge.post(body, { authorization: acme.authorization });
    return { status: answer.status, ...((await answer.json()) as Answer) };
  };
  type Answer = Result & { extensions?: { providerCalls?: { made: number; saved: number } } };
  const transports: Record<string, (body: Body) => Promise<Answer>> = {
    HTTP: overHttp,
    'server-sent events': async (body) => {
      const opened = await stream(`${edge.url}/graphql/stream`, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', authorization: acme.authorization },
      });
      await opened.ended;
      return opened.results()[0] as Answer;
    },
    WebSocket: async (body) => {
      const socket = new WebSocket(edge.wsUrl, ['graphql-transport-ws']);
      await once(socket, 'open');
      socket.send(
        JSON.stringify({ type: 'connection_init', payload: { authorization: acme.authorization } }),
      );
      await once(socket, 'message');
      socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: body }));
      const [message] = await once(socket, 'message');
      socket.terminate();
      return (JSON.parse(String(message)) as { payload: Answer }).payload;
    },
  };
  const seen = async () => (await edge.product.requests('/v3/company/')).length;
  let next = 0;
  /** A connection of its own that may make so many calls in a minute. */
  const connectedWith = async (calls: number): Promise<string> => {
    const integrationId = `limited-${next++}`;
    const configured = edge.product.catalog.find(integrationId)!;
    // One more, by which the company is read when it is connected.
    Object.assign(configured, { limits: [{ name: 'minute', limit: calls + 1, windowMs: 60_000 }] });
    return (await edge.product.connected('acme', {}, integrationId)).id;
  };
  const recordsOf = (resources: number) =>
    quickbooks.resources
      .slice(0, resources)
      .map((one) => `${one}: record(resource: "${one}", externalId: "41") { payload }`)
      .join(' ');
  const records = (own: string, count: number) => ({
    r: Array.from({ length: count }, (_, i) => ({
      ...{ __typename: 'ExternalRecord', id: `${own}/Invoice/${41 + i}` },
    })),
  });

  describe.each(Object.entries(transports))('over %s', (_transport, send) => {
    it('are reported with what batching saved', async () => {
      await edge.product.admin('DELETE', 'requests');
      const { extensions, errors } = await send({ query: references, variables: records(id, 45) });
      expect(errors).toBeUndefined();
      expect(extensions).toEqual({ providerCalls: { made: 2, saved: 43 } });
      expect(await seen()).toBe(2);
    });

    it('are not spoken of where none were asked for', async () => {
      expect((await send({ query: '{ connections { id status } }' })).extensions).toBeUndefined();
    });

    it('are refused before the first where the rate limit leaves too few, with the number and the time', async () => {
      const own = await connectedWith(9);
      const ask = (what: string) =>
        send({ query: `query ($id: ID!) { connection(id: $id) { ${what} } }`, variables: { id: own } });
      const profile = 'profile { name stale }';
      // More at once would run ahead of the limit's pace.
      const two = await ask(`${profile} ${recordsOf(1)}`);
      expect(two.extensions).toEqual({ providerCalls: { made: 2, saved: 0 } });
      await edge.product.admin('DELETE', 'requests');

      const refused = await ask(recordsOf(8));
      expect(refused.data).toBeUndefined();
      expect(refused.errors).toMatchObject([
        {
          message: expect.stringMatching(
            /8 calls of QuickBooks Online .* of 10 in 60 s leaves 7, and all again at \d{4}-/,
          ) as string,
          extensions: { code: 'RATE_LIMITED', providerCalls: 8, remaining: 7 },
        },
      ]);
      const { resetsAt, retryAfterSeconds } = refused.errors![0]!.extensions as unknown as {
        resetsAt: string;
        retryAfterSeconds: number;
      };
      const inSeconds = (Date.parse(resetsAt) - Date.now()) / 1_000;
      expect(inSeconds).toBeGreaterThan(50);
      expect(inSeconds).toBeLessThan(62);
      expect(Math.abs(retryAfterSeconds - inSeconds)).toBeLessThan(2);

      const never = await ask(`${profile} ${recordsOf(10)}`);
      expect(never.errors).toMatchObject([
        {
          message: expect.stringContaining('11 calls') as string,
          extensions: { code: 'OPERATION_TOO_COMPLEX', providerCalls: 11 },
        },
      ]);
      // One alone is answered from what is stored where it may not go.
      expect((await ask(profile)).data).toEqual({
        connection: { profile: { name: expect.any(String) as string, stale: true } },
      });
      expect(await seen(), 'nothing was sent').toBe(0);
    });
  });

  it('that are too many have a status over HTTP that says whether to come again', async () => {
    const own = await connectedWith(9);
    const statusOf = async (what: string) =>
      (await overHttp({ query: `{ connection(id: "${own}") { ${what} } }` })).status;
    expect(await statusOf(`profile { name } ${recordsOf(10)}`)).toBe(400);
    expect(await statusOf(recordsOf(1))).toBe(200);
    expect(await statusOf(recordsOf(9))).toBe(429);
  });

  it.each<[string, number, (id: string) => Body]>([
    ['references of one resource, batched', 2, (own) => ({ query: references, variables: records(own, 45) })],
    [
      'the same record under many names',
      1,
      (own) => ({
        query: `{ connection(id: "${own}") { ${many(20, (i) => `r${i}: record(resource: "Invoice", externalId: "41") { payload }`)} } }`,
      }),
    ],
    [
      'a connection found in many ways',
      1,
      (own) => ({
        query: `{ connection(id: "${own}") { profile { name } integration { connection { profile { id } } } account { connection(integrationId: "x") { id } } } }`,
      }),
    ],
    [
      'what a variable leaves out',
      1,
      (own) => ({
        query: `query ($x: Boolean = false) { connection(id: "${own}") { profile { name } record(resource: "Invoice", externalId: "41") @include(if: $x) { payload } } }`,
      }),
    ],
    [
      'references of which only the key is asked',
      1,
      (own) => ({
        query: `query ($r: [_Any!]!) { connection(id: "${own}") { profile { name } } _entities(representations: $r) { ... on ExternalRecord { id resource } } }`,
        variables: records(own, 2),
      }),
    ],
    [
      'resources and ids that are none',
      1,
      (own) => ({
        query: `{ connection(id: "${own}") { profile { name } a: record(resource: "Nothing", externalId: "1") { payload } b: record(resource: "Vendor", externalId: "/") { payload } } c: connection(id: "x") { record(resource: "Customer", externalId: "1") { payload } } }`,
      }),
    ],
    [
      'other integrations',
      1,
      (own) => ({
        query: `{ connection(id: "${own}") { profile { name } } connections(integrationId: "slack") { record(resource: "Customer", externalId: "1") { payload } } }`,
      }),
    ],
  ])('count %s as %d', async (_, calls, bodyOf) => {
    const own = await connectedWith(100);
    const core = edge.product;
    const { query, variables = {} } = bodyOf(own);
    const document = parse(query);
    const context = createContext(core, identityOf('acme'));
    const planned = await plannedCalls(schema, document, getOperationAST(document)!, variables, context);
    expect([...planned].map(([connection, count]) => [connection.id, count])).toEqual([[own, calls]]);
    const answer = await overHttp({ query, variables });
    expect(answer.extensions?.providerCalls?.made).toBe(calls);
  });
});

describe('the plan of an operation', () => {
  it('takes little time, however many references and fields it has', async () => {
    const edge = await openEdge(embeddedDatabase);
    const { connection } = await edge.account('acme');
    const types = ['Connection', 'Integration', 'SyncStatus', 'ExternalRecord'];
    const fields = many(
      25,
      (i) => `f${i}: status g${i}: record(resource: "Invoice", externalId: "${5_000 + i}") { payload }`,
    );
    const document = parse(
      `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Connection { ${fields} } ... on ExternalRecord { payload connection { ${fields} } } ... on Integration { connection { ${fields} } } } }`,
    );
    const variables = {
      r: Array.from({ length: 1_000 }, (_, i) => ({
        __typename: types[i % 4],
        id: i % 2 === 0 ? connection.id : `${connection.id}/Invoice/${i}`,
      })),
    };
    const context = createContext(edge.product, identityOf('acme'));
    const plan = () => plannedCalls(schema, document, getOperationAST(document)!, variables, context);
    const counts = [...(await plan()).values()];
    const before = process.cpuUsage();
    await plan();
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(50);
    // The records that are referred to, and those that each connection is asked for.
    const { batchSize } = quickbooks.records;
    expect(counts).toEqual([Math.ceil((250 + 25) / batchSize)]);
    await edge.close();
  });
});

describe('a budget', () => {
  const view = {
    queued: 0,
    estimatedWaitMs: 0,
    limit: 10,
    windowMs: 60_000,
    remaining: 4,
    resetsAtMs: 1,
    pausedUntilMs: undefined,
  };
  it.each([
    [4, view, undefined],
    [5, view, { budget: view, isEverPossible: true }],
    [10, view, { budget: view, isEverPossible: true }],
    [11, view, { budget: view, isEverPossible: false }],
    // Ten more come each second of the five that it may take.
    [54, { ...view, windowMs: 1_000 }, undefined],
    [55, { ...view, windowMs: 1_000 }, { budget: { ...view, windowMs: 1_000 }, isEverPossible: true }],
    [100, { ...view, windowMs: 0 }, undefined],
    [100, { ...view, pausedUntilMs: 5 }, undefined],
  ])('leaves for %d calls within five seconds what %o has', (calls, budget, expected) => {
    expect(lacking([{ ...view, limit: 1_000, remaining: 1_000 }, budget], calls, 5_000)).toEqual(expected);
  });
});
