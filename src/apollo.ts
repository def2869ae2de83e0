import { ApolloServer, type ApolloServerOptionsWithGateway, type ApolloServerPlugin } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import type { GraphQLSchema } from 'graphql';
import { callsReport, overBudget } from '../resolvers/callBudget.ts';
import type { Context } from '../resolvers/context.ts';
import type { createFormatError } from '../resolvers/formatError.ts';
import type { Execute } from './execution/executor.ts';
import type { Log } from './log.ts';

/** Apollo Server as this subgraph runs it: it speaks HTTP, validates and answers; `execute` executes. */
export function createApollo(options: {
  schema: GraphQLSchema;
  execute: Execute<Context>;
  formatError: ReturnType<typeof createFormatError>;
  production: boolean;
  log: Log;
}): ApolloServer<Context> {
  const { schema, execute, formatError, production, log } = options;
  return new ApolloServer<Context>({
    gateway: executedBy(schema, execute),
    introspection: !production,
    csrfPrevention: true,
    // A hash would stand for a text that the guard has not seen.
    persistedQueries: false,
    includeStacktraceInErrorResponses: false,
    hideSchemaDetailsFromClientErrors: production,
    stopOnTerminationSignals: false,
    formatError,
    logger: apolloLog(log),
    // The cache-control plugin halves the throughput of lists; the others would report to a vendor.
    plugins: [
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginInlineTraceDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
      providerCallsPlugin(schema),
    ],
  });
}

/** Apollo Server asks a gateway where it would otherwise execute by itself: the one way to have another executor. */
function executedBy(
  schema: GraphQLSchema,
  execute: Execute<Context>,
): ApolloServerOptionsWithGateway<Context>['gateway'] {
  return {
    load: () =>
      Promise.resolve({
        executor: async ({ document, operation, request: { operationName, variables = {} }, context }) =>
          execute({
            document,
            operation,
            operationName,
            variables,
            contextValue: context as unknown as Context,
          }),
      }),
    onSchemaLoadOrUpdate(tell) {
      tell({ apiSchema: schema, coreSupergraphSdl: '' });
      return () => {};
    },
    stop: () => Promise.resolve(),
  };
}

/** As `operations.execute` does it for the other transports. */
function providerCallsPlugin(schema: GraphQLSchema): ApolloServerPlugin<Context> {
  return {
    requestDidStart: () =>
      Promise.resolve({
        async didResolveOperation({ document, operation, request, contextValue }) {
          const variables = request.variables ?? {};
          const refused =
            operation && (await overBudget(schema, document, operation, variables, contextValue));
          if (refused) throw refused;
        },
        willSendResponse({ response: { body }, contextValue }) {
          const providerCalls = callsReport(contextValue);
          if (providerCalls && body.kind === 'single')
            body.singleResult.extensions = { ...body.singleResult.extensions, providerCalls };
          return Promise.resolve();
        },
      }),
  };
}

function apolloLog(log: Log) {
  return {
    debug: (message: string) => log.debug(message),
    info: (message: string) => log.debug(message),
    warn: (message: string) => log.warn(message),
    error: (message: string) => log.error(message),
  };
}
