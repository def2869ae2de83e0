/**
 * The product as its user runs it, beside two subgraphs of others, each on a port of its own and behind a line that can
 * be cut, with the supergraph of all three.
 */
import { readFileSync } from 'node:fs';
import { composeServices } from '@apollo/composition';
import { ApolloServer } from '@apollo/server';
import { ApolloServerPluginInlineTraceDisabled } from '@apollo/server/plugin/disabled';
import { startStandaloneServer } from '@apollo/server/standalone';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { parse, type DocumentNode } from 'graphql';
import { SignJWT } from 'jose';
import { startProduct, type Product } from '../support/product.ts';
import { tcpProxy, type TcpProxy } from '../support/tcpProxy.ts';

const secret = 'a shared secret of at least thirty-two bytes';
export const routerSecret = 'only the gateway knows';

const read = (file: string) => parse(readFileSync(new URL(file, import.meta.url), 'utf8'));
const accountsTypes = read('../composition/accounts.graphql');
const freightTypes = read('../composition/freight.graphql');

type Headers = Readonly<Record<string, string | string[] | undefined>>;

export interface Subgraphs {
  product: Product;
  supergraph: string;
  /** The lines from the gateways to each. */
  lines: { integrations: TcpProxy; accounts: TcpProxy };
  /** The headers that the accounts' subgraph was sent last. */
  lastHeaders(): Headers;
  /** What each load refers to, by the load's id: `ExternalRecord.id`. */
  invoices: Map<string, string>;
  close(): Promise<void>;
}

export async function bearer(accountId: string): Promise<string> {
  const token = await new SignJWT({ account_id: accountId, scope: 'integrations:read integrations:write' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('user-1')
    .setExpirationTime('10m')
    .sign(new TextEncoder().encode(secret));
  return `Bearer ${token}`;
}

export async function startSubgraphs(settings: Record<string, string> = {}): Promise<Subgraphs> {
  let lastHeaders: Headers = {};
  const invoices = new Map<string, string>();
  const product = await startProduct({
    AUTH_JWT_SECRET: secret,
    ROUTER_SECRET: routerSecret,
    ...settings,
  });
  const nameOf = ({ id }: { id: string }) => `Account ${id}`;
  const loadOf = (id: string) => ({ id, invoice: { id: invoices.get(id)! } });
  const accounts = await startSubgraph(
    accountsTypes,
    {
      Query: { account: (_: unknown, { id }: { id: string }) => ({ id }) },
      Account: { __resolveReference: (reference: object) => reference, name: nameOf },
    },
    (headers) => (lastHeaders = headers),
  );
  const freight = await startSubgraph(freightTypes, {
    Query: {
      load: (_: unknown, { id }: { id: string }) => (invoices.has(id) ? loadOf(id) : null),
      loads: () => [...invoices.keys()].map(loadOf),
    },
  });
  const lines = {
    integrations: await tcpProxy(Number(new URL(product.url).port)),
    accounts: await tcpProxy(accounts.port),
  };
  const { data } = await product.graphql('{ _service { sdl } }', {}, { 'x-router-secret': routerSecret });
  const { supergraphSdl, errors } = composeServices([
    { name: 'accounts', url: urlOf(lines.accounts), typeDefs: accountsTypes },
    { name: 'freight', url: urlOf(freight), typeDefs: freightTypes },
    { name: 'integrations', url: urlOf(lines.integrations), typeDefs: parse(data._service.sdl as string) },
  ]);
  if (!supergraphSdl) throw new Error(errors?.join('\n'));
  return {
    ...{ product, lines, invoices, supergraph: supergraphSdl },
    lastHeaders: () => lastHeaders,
    async close() {
      await Promise.all([lines.accounts.close(), lines.integrations.close()]);
      await Promise.all([accounts.close(), freight.close()]);
      await product.stop();
      await product.remove();
    },
  };
}

const urlOf = ({ port }: { port: number }) => `http://127.0.0.1:${port}/graphql`;

async function startSubgraph(
  typeDefs: DocumentNode,
  resolvers: Record<string, Record<string, unknown>>,
  onRequest: (headers: Headers) => void = () => {},
): Promise<{ port: number; close(): Promise<void> }> {
  const server = new ApolloServer({
    schema: buildSubgraphSchema([{ typeDefs, resolvers: resolvers as never }]),
    plugins: [ApolloServerPluginInlineTraceDisabled()],
  });
  const { url } = await startStandaloneServer(server, {
    listen: { port: 0, host: '127.0.0.1' },
    context: ({ req }) => Promise.resolve(onRequest(req.headers) ?? {}),
  });
  return { port: Number(new URL(url).port), close: () => server.stop() };
}
