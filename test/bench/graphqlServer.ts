/**
 * A process that answers the same operations over HTTP in one of several ways; run by graphql.ts. The schema and its
 * resolvers are the product's; the connections come from memory, so that only what lies before them is measured. Message out: `{ port }`.
 */
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { execute, parse, validate, type DocumentNode, type ExecutionResult } from 'graphql';
import { compileQuery, isCompiledQuery, type CompiledQuery } from 'graphql-jit';
import { createContext, type Context, type Core } from '../../resolvers/context.ts';
import { createSchema } from '../../resolvers/index.ts';
import { systemClock as clock } from '../../src/clock.ts';
import type { Connection } from '../../src/connections/connection.ts';
import type { Identity } from '../../src/identity.ts';
import { createLog } from '../../src/log.ts';
import { createCatalog } from '../../src/providers/catalog.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';
import { createServer } from '../../src/server.ts';
import { connectionIds, type Way } from './graphqlOperations.ts';

const at = new Date('2026-11-23T12:00:00.000Z');
const connections = connectionIds.map(
  (id, i) =>
    ({
      ...{ id, accountId: 'acme', integrationId: 'quickbooks', status: 'ACTIVE', problem: null },
      ...{ externalId: `93414528810${i}`, scopes: ['com.intuit.quickbooks.accounting'], generation: 1 },
      ...{ createdAt: at, connectedAt: at, disconnectedAt: null, checkedAt: at, refreshTokenExpiresAt: null },
      ...{ tokenExpiresAt: at, nextRefreshAt: at, reauthorizeBy: null, profile: null },
    }) as unknown as Connection,
);
const byId = new Map(connections.map((connection) => [connection.id, connection]));

const schema = createSchema();
const identity: Identity = {
  ...{ accountId: 'acme', userId: 'ann', scopes: new Set(['integrations:read']), expiresAt: null, key: null },
};
const core = {
  ...{ clock, interactiveDeadlineMs: 1_000, recordMaxAgeSeconds: 0, forAccount: () => undefined },
  catalog: createCatalog([
    { provider: quickbooks, endpoints: quickbooks.endpoints, limits: quickbooks.limits },
  ]),
  connections: {
    list: () => Promise.resolve(connections.slice(0, 50)),
    find: (_accountId: string, ids: readonly string[]) =>
      Promise.resolve(new Map(ids.map((id) => [id, byId.get(id)]))),
  },
  api: {
    rateLimits: (of: readonly Connection[]) => Promise.resolve(of.map(() => undefined)),
    pauseProblem: () => null,
    overBudget: () => Promise.resolve(undefined),
  },
} as unknown as Core;
const contextOf = (): Context => createContext(core, identity);

interface Request {
  query: string;
  variables?: Record<string, unknown>;
}

async function bodyOf(request: IncomingMessage): Promise<Request> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString()) as Request;
}

/** No server's comfort: the body, an execution, the answer. */
async function plain(answer: (request: Request) => Promise<string> | string): Promise<number> {
  const server = createHttpServer((request, response) => {
    void bodyOf(request)
      .then(answer)
      .then((text) => {
        response.setHeader('content-type', 'application/json');
        response.end(text);
      });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const documents = new Map<string, DocumentNode>();
function documentOf(query: string): DocumentNode {
  let document = documents.get(query);
  if (!document) {
    document = parse(query);
    const [error] = validate(schema, document);
    if (error) throw error;
    documents.set(query, document);
  }
  return document;
}

const bare = ({ query, variables }: Request): Promise<ExecutionResult> | ExecutionResult =>
  execute({
    schema,
    document: documentOf(query),
    contextValue: contextOf(),
    variableValues: variables ?? {},
  });

const compiled = new Map<string, CompiledQuery>();
function jit({ query, variables }: Request): Promise<ExecutionResult> | ExecutionResult {
  let own = compiled.get(query);
  if (!own) {
    const made = compileQuery(schema, documentOf(query));
    if (!isCompiledQuery(made)) throw new Error('not compiled');
    compiled.set(query, (own = made));
  }
  return own.query(undefined, contextOf(), variables ?? {});
}

const ways: Record<Way, () => Promise<number>> = {
  'bare graphql-js': () => plain(async (request) => JSON.stringify(await bare(request))),
  'graphql-jit': () => plain(async (request) => JSON.stringify(await jit(request))),
  'fixed bytes': () => {
    const texts = new Map<string, string>();
    return plain(async (request) => {
      let text = texts.get(request.query);
      if (text === undefined) texts.set(request.query, (text = JSON.stringify(await bare(request))));
      return text;
    });
  },
  async 'Apollo standalone'() {
    const server = new ApolloServer<Context>({ schema });
    const options = { listen: { port: 0, host: '127.0.0.1' }, context: () => Promise.resolve(contextOf()) };
    const { url } = await startStandaloneServer(server, options);
    return Number(new URL(url).port);
  },
  async ours() {
    const nobody = () => Promise.reject(new Error('not asked in this bench'));
    const app = await createServer({
      ...{ schema, clock, core },
      receiver: { receive: nobody },
      resolveIdentity: () => Promise.resolve(identity),
      ...{ routerSecrets: [], production: true, firstQuery: '{ __typename }' },
      isReady: () => Promise.resolve(true),
      metrics: { text: nobody },
      subscriptions: { callbackOrigins: undefined, perAccount: 100, total: 1_000 },
      log: createLog('silent'),
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    return (app.server.address() as AddressInfo).port;
  },
};

// Whoever started it may have been killed.
process.on('disconnect', () => process.exit());
process.send!({ port: await ways[process.argv[2] as Way]() });
