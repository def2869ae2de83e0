/**
 * How Hive's gateway reaches a subgraph: by HTTP, and by WebSocket for subscriptions where the subgraph's entry says so.
 * The executors and the options' names are those of its own transports, `@graphql-mesh/transport-http` and `-ws`.
 */
import type { GatewayConfigBase } from '@graphql-hive/gateway-runtime';
import { buildGraphQLWSExecutor } from '@graphql-tools/executor-graphql-ws';
import { buildHTTPExecutor, type HTTPExecutorOptions } from '@graphql-tools/executor-http';
import type { ExecutionRequest, Executor } from '@graphql-tools/utils';

type Transports = NonNullable<GatewayConfigBase<Record<string, unknown>>['transports']>;

interface Options {
  subscriptions?: {
    /** Values may name a header of the client's request: `{context.headers.authorization}`. */
    options: { connectionParams: Record<string, string> };
  };
}

export const transports: Transports = {
  http: {
    getSubgraphExecutor({ transportEntry, fetch }) {
      const { location: endpoint = '', options = {} } = transportEntry as {
        location?: string;
        options?: Options;
      };
      const http: Executor = buildHTTPExecutor({ endpoint, fetch } as HTTPExecutorOptions);
      return (request: ExecutionRequest) =>
        request.operationType === 'subscription' && options.subscriptions
          ? overWebSocket(endpoint, options.subscriptions.options.connectionParams, request)
          : http(request);
    },
  },
};

function overWebSocket(endpoint: string, params: Record<string, string>, request: ExecutionRequest) {
  const { headers } = request.context as { headers: Record<string, string> };
  const filledIn = Object.entries(params).map(([name, value]) => [
    name,
    value.replace(/\{context\.headers\.([\w-]+)\}/, (_, header: string) => headers[header] ?? ''),
  ]);
  const execute = buildGraphQLWSExecutor({
    url: endpoint.replace(/^http/, 'ws'),
    connectionParams: Object.fromEntries(filledIn) as Record<string, string>,
  });
  return execute(request);
}
