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
import { parse } from 'graphql';
import { SignJWT } from 'jose';
import { startProduct, type Product } from '../support/product.ts';
import { tcpProxy, type TcpProxy } from '../support/tcpProxy.ts';

const secret = 'a shared secret of at least thirty-two bytes';
export const routerSecret = 'only the gateway knows';

const read = (file: string) => readFileSync(new URL(file, import.meta.url), 'utf8');
const accountsText = read('../composition/accounts.graphql');
const freightText = read('../composition/freight.graphql');

type Headers = Readonly<Record<string, string | string[] | undefined>>;

export interface Subgraphs {
  product: Product;
  supergraph: string;
  /** What it is composed of. */
  parts: { name: string; url: string; sdl: string }[];
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
    accountsText,
    {
      Query: { account: (_: unknown, { id }: { id: string }) => ({ id }) },
      Account: { __resolveReference: (reference: object) => reference, name: nameOf },
    },
    (headers) => (lastHeaders = headers),
  );
  const freight = await startSubgraph(freightText, {
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
  const parts = [
    { name: 'accounts', url: urlOf(lines.accounts), sdl: accountsText },
    { name: 'freight', url: urlOf(freight), sdl: freightText },
    { name: 'integrations', url: urlOf(lines.integrations), sdl: data._service.sdl as string },
  ];
  const { supergraphSdl, errors } = composeServices(
    parts.map(({ name, url, sdl }) => ({ name, url, typeDefs: parse(sdl) })),
  );
  if (!supergraphSdl) throw new Error(errors?.join('\n'));
  return {
    ...{ product, lines, invoices, parts, supergraph: supergraphSdl },
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
  sdl: string,
  resolvers: Record<string, Record<string, unknown>>,
  onRequest: (headers: Headers) => void = () => {},
): Promise<{ port: number; close(): Promise<void> }> {
  const server = new ApolloServer({
    schema: buildSubgraphSchema([{ typeDefs: parse(sdl), resolvers: resolvers as never }]),
    plugins: [ApolloServerPluginInlineTraceDisabled()],
  });
  const { url } = await startStandaloneServer(server, {
    listen: { port: 0, host: '127.0.0.1' },
    context: ({ req }) => Promise.resolve(onRequest(req.headers) ?? {}),
  });
  return { port: Number(new URL(url).port), close: () => server.stop() };
}
