/** The gateways that the product is tried behind, each set up as its documentation says, listening on a port. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { createGatewayRuntime, type GatewayConfigSupergraph } from '@graphql-hive/gateway-runtime';
import { MemPubSub } from '@graphql-hive/pubsub';
import type { QueryPlan } from '@graphql-hive/router-query-planner';
import { unifiedGraphHandler, useQueryPlan } from '@graphql-hive/router-runtime';
import http from '@graphql-mesh/transport-http';
import httpCallback from '@graphql-mesh/transport-http-callback';
import ws from '@graphql-mesh/transport-ws';
import { grafbase, openGrafbase } from './grafbase.ts';

export type Following = 'WebSocket' | 'HTTP callback';

export interface GatewayKind {
  name: string;
  /** How it subscribes to a subgraph. */
  follows: readonly Following[];
  /** Whether plans are made by a native planner. */
  plansNatively: boolean;
  /** The path and `extensions.code` of the error for a field whose subgraph cannot be reached. */
  unreachable(field: string): [path: string | undefined, code: string | undefined];
  /** `extensions.code` where we answer 401: ours, or its own where it does not read the body of what is no success. */
  unauthenticated: string;
  open(settings: GatewaySettings): Promise<Gateway>;
}

export interface GatewaySettings {
  supergraph: string;
  /** What it is composed of, for a gateway that composes by itself. */
  subgraphs: readonly { name: string; url: string; sdl: string }[];
  /** Sent to every subgraph beside what the client sent of `forwarded`. Undefined: not sent. */
  routerSecret: string | undefined;
  /** One of `follows`; the first when absent. */
  following?: Following;
}

export interface Gateway {
  url: string;
  /** How many operations were executed by a plan of Hive's native planner; undefined where it could not be. */
  nativePlans?(): number;
  close(): Promise<void>;
}

const forwarded = ['authorization', 'x-account-id'] as const;

export const gatewayKinds: GatewayKind[] = [
  {
    name: '@apollo/gateway',
    ...{ follows: [], plansNatively: false },
    // It names no field.
    unreachable: () => [undefined, 'INTERNAL_SERVER_ERROR'],
    unauthenticated: 'UNAUTHENTICATED',
    open: openApollo,
  },
  {
    name: '@graphql-hive/gateway-runtime, planning in JavaScript',
    ...{ follows: ['WebSocket', 'HTTP callback'], plansNatively: false },
    unreachable: (field) => [field, 'INTERNAL_SERVER_ERROR'],
    unauthenticated: 'UNAUTHENTICATED',
    open: (settings) => openHive(settings, {}),
  },
  {
    name: '@graphql-hive/gateway-runtime with @graphql-hive/router-runtime',
    ...{ follows: ['WebSocket', 'HTTP callback'], plansNatively: true },
    unreachable: (field) => [field, 'INTERNAL_SERVER_ERROR'],
    unauthenticated: 'UNAUTHENTICATED',
    open: (settings) => openHive(settings, { unifiedGraphHandler: unifiedGraphHandler as never }),
  },
  ...(grafbase === undefined
    ? []
    : [
        {
          name: "Grafbase's gateway",
          ...{ follows: ['WebSocket'] as const, plansNatively: false },
          unreachable: (field: string) => [field, 'SUBGRAPH_REQUEST_ERROR'] as [string, string],
          unauthenticated: 'SUBGRAPH_REQUEST_ERROR',
          open: openGrafbase,
        },
      ]),
];

async function openApollo({ supergraph, routerSecret }: GatewaySettings): Promise<Gateway> {
  type Passed = Record<string, string>;
  class Forwarding extends RemoteGraphQLDataSource<Passed> {
    override willSendRequest({
      request,
      context,
    }: Parameters<NonNullable<RemoteGraphQLDataSource<Passed>['willSendRequest']>>[0]): void {
      for (const [name, value] of Object.entries(context)) request.http?.headers.set(name, value);
    }
  }
  const server = new ApolloServer<Passed>({
    gateway: new ApolloGateway({
      supergraphSdl: supergraph,
      buildService: (service) => new Forwarding({ url: service.url! }),
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    }),
    includeStacktraceInErrorResponses: false,
  });
  const { url } = await startStandaloneServer(server, {
    listen: { port: 0, host: '127.0.0.1' },
    context: ({ req }) =>
      Promise.resolve(passedOn((name) => req.headers[name] as string | undefined, routerSecret)),
  });
  return { url, close: () => server.stop() };
}

async function openHive(
  { supergraph, routerSecret, following = 'WebSocket' }: GatewaySettings,
  more: Partial<GatewayConfigSupergraph>,
): Promise<Gateway> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  // Filled in for each request of a client.
  const headers = {
    authorization: '{context.headers.authorization}',
    ...(routerSecret !== undefined && { 'x-router-secret': routerSecret }),
  };
  const subscriptions =
    following === 'WebSocket'
      ? { kind: 'ws', options: { connectionParams: headers } }
      : {
          kind: 'http-callback',
          headers: Object.entries(headers),
          options: { public_url: `${origin}/callback`, path: '/callback', heartbeat_interval: 60_000 },
        };
  let plans = 0;
  const runtime = createGatewayRuntime({
    ...{ supergraph, transports: { http, ws, 'http-callback': httpCallback }, logging: false },
    ...{ webhooks: true, pubsub: new MemPubSub() },
    // Equal queries that come at the same time are answered once.
    inboundInflightRequestDeduplication: true,
    propagateHeaders: {
      fromClientToSubgraphs: ({ request }) =>
        passedOn((name) => request.headers.get(name) ?? undefined, routerSecret),
    },
    transportEntries: { integrations: { options: { subscriptions } } },
    // It is told undefined where no native plan was made.
    plugins: () => [
      useQueryPlan({
        onQueryPlan: (plan: QueryPlan | undefined) => void (plans += plan?.node ? 1 : 0),
      }) as never,
    ],
    ...more,
  });
  server.on('request', runtime as unknown as RequestListener);
  return {
    url: `${origin}/graphql`,
    nativePlans: () => plans,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await runtime.dispose();
    },
  };
}

function passedOn(
  header: (name: string) => string | undefined,
  routerSecret: string | undefined,
): Record<string, string> {
  const found = [
    ...forwarded.map((name) => [name, header(name)] as const),
    ['x-router-secret', routerSecret] as const,
  ];
  return Object.fromEntries(
    found.filter((pair): pair is [(typeof pair)[0], string] => pair[1] !== undefined),
  );
}
