import { ApolloServer, type ApolloServerOptionsWithGateway, type ApolloServerPlugin } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import { callsReport, overBudget } from '../resolvers/callBudget.ts';
import { createContext, forgetAsked, type Context, type Core } from '../resolvers/context.ts';
import { createFormatError } from '../resolvers/formatError.ts';
import { boundAnswers, usualAnswerLimits } from './answers.ts';
import { callbackHeaders, callbackPage, returnAddress } from './callbackPage.ts';
import type { CallbackAnswer } from './connections/connect.ts';
import type { Clock } from './clock.ts';
import { bodyOf, header, queryOf, toApollo, type Body } from './graphqlRequest.ts';
import { createExecute, type Execute } from './execution/executor.ts';
import { createGuard, statusOf, type Guard } from './guard/guard.ts';
import type { Limits } from './guard/limits.ts';
import { createSpending } from './guard/spending.ts';
import { UnauthenticatedError, type Identity, type ResolveIdentity } from './identity.ts';
import { takeLastRequests } from './lastRequests.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { createRouterProof, type RouterProof } from './routerProof.ts';
import {
  createSubscriptions,
  shouldUpgrade,
  type Subscriptions,
  type SubscriptionSettings,
} from './subscriptions/subscriptions.ts';
import type { Receiver } from './webhooks/receive.ts';

const bodyLimitBytes = 1024 * 1024;

export interface ServerOptions {
  schema: GraphQLSchema;
  core: Core;
  receiver: Receiver;
  resolveIdentity: ResolveIdentity;
  routerSecrets: readonly string[];
  routerHmacSecrets?: readonly string[];
  production: boolean;
  /** What GraphiQL opens with. */
  firstQuery: string;
  isReady(): Promise<boolean>;
  metrics: Pick<Metrics, 'text'>;
  subscriptions: SubscriptionSettings;
  /** Of one operation; the usual ones when absent. */
  limits?: Limits;
  /** In points of cost, of each account; 0 or absent: as much as it likes. */
  costPerSecond?: number;
  clock: Clock;
  log: Log;
}

/** What the GraphQL routes work with. */
type Edge = ServerOptions & {
  guard: Guard;
  routerProof: RouterProof;
  execute: Execute<Context>;
  formatError: ReturnType<typeof createFormatError>;
};

/**
 * The HTTP edge. Every body arrives as the bytes that were sent (signatures are over bytes), at most 1 MiB; a slow
 * sender is cut off. `close` stops listening and lets running requests finish, and those that still come over lines which
 * are open; every answer then says that it is its line's last.
 */
export async function createServer(options: ServerOptions): Promise<FastifyInstance> {
  const { log } = options;
  const app = fastify({
    bodyLimit: bodyLimitBytes,
    requestTimeout: 8_000,
    keepAliveTimeout: 65_000,
    http: { headersTimeout: 3_000, connectionsCheckingInterval: 500, shouldUpgradeCallback: shouldUpgrade },
    return503OnClosing: false,
    // A HEAD would run its GET, and the callback uses its state up.
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 200 },
  });
  boundAnswers(app, { clock: options.clock, log, limits: usualAnswerLimits });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'There is nothing here.' }));
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) log.error({ err: error, route: request.routeOptions.url }, 'a request failed');
    const message = status >= 500 ? 'Something went wrong on our side.' : error.message;
    // What is too long or cut off never comes as far as the routes below.
    if (status < 500 && request.url.startsWith('/graphql'))
      return graphqlError(reply, status, 'BAD_REQUEST', message);
    return reply.code(status).send({ error: message });
  });
  app.addHook('onResponse', (request, reply, done) => {
    log.debug(
      {
        method: request.method,
        route: request.routeOptions.url,
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime),
      },
      'request',
    );
    done();
  });

  app.get('/healthz', () => ({ status: 'alive' }));
  app.get('/readyz', async (_request, reply) => {
    const ready = await options.isReady();
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready' });
  });
  app.get('/metrics', async (_request, reply) => {
    const { contentType, body } = await options.metrics.text();
    return reply.header('cache-control', 'no-store').type(contentType).send(body);
  });
  callbackRoute(app, options);
  webhookRoutes(app, options);
  const formatError = createFormatError(log, options.clock);
  const guard = createGuard(options.schema, {
    hidesSchema: options.production,
    ...(options.limits && { limits: options.limits }),
    spending: createSpending(options.costPerSecond ?? 0, options.clock),
  });
  const routerProof = createRouterProof(options.routerSecrets, options.routerHmacSecrets);
  const execute = createExecute<Context>(options.schema, forgetAsked, options.clock);
  const edge = { ...options, guard, routerProof, execute, formatError };
  const subscriptions = createSubscriptions({ ...edge, settings: options.subscriptions });
  let closing = false;
  // Who stops it to change something does not want to wait for clients that they do not have.
  const silentMs = options.production ? 2_000 : 250;
  app.addHook('preClose', async () => {
    closing = true;
    await Promise.all([takeLastRequests(app.server, silentMs, options.clock), subscriptions.close()]);
  });
  // Fastify says it to those that come later.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (closing) reply.header('connection', 'close');
    done();
  });
  subscriptions.attach(app.server);
  streamRoute(app, edge, subscriptions);
  await graphqlRoutes(app, edge, subscriptions);
  return app;
}

function callbackRoute(app: FastifyInstance, { core, log }: ServerOptions): void {
  app.get<{ Params: { integrationId: string } }>('/oauth/:integrationId/callback', async (request, reply) => {
    const { integrationId } = request.params;
    if (!core.catalog.find(integrationId)) return reply.callNotFound();
    const query = new URLSearchParams(request.url.slice(request.url.indexOf('?') + 1));
    let answer: CallbackAnswer;
    try {
      answer = await core.connections.completeAuthorization(integrationId, query);
    } catch (error) {
      log.error({ integrationId, err: error }, 'a callback failed');
      const message = 'Something failed on our side. Please start the connection again in a minute.';
      return reply
        .code(500)
        .headers(callbackHeaders)
        .type('text/html; charset=utf-8')
        .send(callbackPage({ connectionId: null, problem: { code: 'INTERNAL_SERVER_ERROR', message } }));
    }
    const { connectionId, problem, completionCode } = answer;
    const good = completionCode === undefined ? 'connected' : 'to be confirmed';
    log.info({ integrationId, connectionId, outcome: problem?.code ?? good }, 'callback');
    const address = returnAddress(answer);
    reply.headers(callbackHeaders);
    if (address !== undefined) return reply.redirect(address, 303);
    return reply
      .code(problem ? 400 : 200)
      .type('text/html; charset=utf-8')
      .send(callbackPage(answer));
  });
}

function webhookRoutes(app: FastifyInstance, { receiver }: ServerOptions): void {
  const handler = async (
    request: FastifyRequest<{ Params: { integrationId: string; connectionId?: string } }>,
    reply: FastifyReply,
  ) => {
    const headers = Object.fromEntries(
      Object.keys(request.headers).map((name) => [name, header(request, name)]),
    );
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const {
      status,
      body: said,
      retryAfterSeconds,
    } = await receiver.receive({ ...request.params, headers, body });
    if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds));
    return reply.code(status).send(said);
  };
  app.post('/webhooks/:integrationId', handler);
  app.post('/webhooks/:integrationId/:connectionId', handler);
}

/** Who asks; undefined when nobody in particular, or when the request was answered because it may not be believed. */
async function identify(
  request: FastifyRequest,
  reply: FastifyReply,
  body: Body,
  { resolveIdentity, routerProof, production, log }: Edge,
): Promise<Identity | undefined> {
  const asked = 'json' in body ? body.json : undefined;
  const isRouter = routerProof.holds({ secret: header(request, 'x-router-secret'), request: asked });
  if (routerProof.isRequired && !isRouter) return void refuse(reply, 'Only the router may ask here.');
  try {
    const identity = await resolveIdentity({
      isRouter,
      forwarded: (asked as { extensions?: { jwt?: unknown } | null } | null | undefined)?.extensions?.jwt,
      authorization: header(request, 'authorization'),
      accountHeader: header(request, 'x-account-id'),
      userHeader: header(request, 'x-user-id'),
      remoteAddress: request.ip,
    });
    // The schema itself is shown to the router, and otherwise, where anybody can ask, to who is known.
    if (!identity && production && !isRouter) return void refuse(reply, needsIdentity);
    return identity;
  } catch (error) {
    if (error instanceof UnauthenticatedError) return void refuse(reply, error.message);
    log.error({ err: error }, 'an identity could not be verified');
    const message = 'The identity cannot be verified at present.';
    return void graphqlError(reply, 500, 'INTERNAL_SERVER_ERROR', message);
  }
}

function streamRoute(app: FastifyInstance, options: Edge, subscriptions: Subscriptions): void {
  app.route({
    method: ['GET', 'POST'],
    url: '/graphql/stream',
    async handler(request, reply) {
      const mayOnlyRead = request.method === 'GET';
      const body = mayOnlyRead ? queryOf(request) : bodyOf(request);
      const identity = await identify(request, reply, body, options);
      if (reply.sent) return reply;
      if (!identity) return refuse(reply, needsIdentity);
      if ('message' in body) return graphqlError(reply, body.status, 'BAD_REQUEST', body.message);
      const lastEventId = header(request, 'last-event-id');
      const asked = { request: body.json, identity, lastEventId, mayOnlyRead };
      const refused = subscriptions.stream(reply.raw, asked);
      return refused ? refusedWith(reply, refused.status, refused.errors) : reply.hijack();
    },
  });
}

async function graphqlRoutes(
  app: FastifyInstance,
  options: Edge,
  subscriptions: Subscriptions,
): Promise<void> {
  const { core, production, guard, formatError, execute, log } = options;
  const apollo = new ApolloServer<Context>({
    gateway: executedBy(options.schema, execute),
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
      providerCallsPlugin(options.schema),
    ],
  });
  await apollo.start();
  app.addHook('onClose', () => apollo.stop());
  let graphiql: Promise<string> | undefined;

  app.route({
    method: ['GET', 'POST'],
    url: '/graphql',
    async handler(request, reply) {
      if (request.method === 'GET' && !production && request.headers.accept?.includes('text/html'))
        return reply
          .type('text/html; charset=utf-8')
          .send(await (graphiql ??= renderPage(options.firstQuery)));
      const isPost = request.method === 'POST';
      const read = isPost ? bodyOf(request) : queryOf(request);
      const identity = await identify(request, reply, read, options);
      if (reply.sent) return reply;
      // What is wrong with a GET is Apollo Server's to say.
      if (isPost && 'message' in read) return graphqlError(reply, read.status, 'BAD_REQUEST', read.message);
      const asked = 'json' in read ? read.json : undefined;
      const body = isPost ? asked : undefined;
      const refused = guard.overLimit(asked, identity?.accountId);
      if (refused) return refusedWith(reply, statusOf(refused), [refused]);
      const callback = await subscriptions.callback(header(request, 'accept'), body, identity);
      if (callback) {
        if (callback.start) reply.raw.once('close', callback.start);
        // The router has hung up meanwhile: it will say so where it is posted to.
        if (reply.raw.destroyed) callback.start?.();
        return reply.code(callback.status).headers(callback.headers).send(callback.body);
      }
      const response = await apollo.executeHTTPGraphQLRequest({
        httpGraphQLRequest: toApollo(request, body),
        context: () => Promise.resolve(createContext(core, identity)),
      });
      reply.code(response.status ?? 200).headers(Object.fromEntries(response.headers));
      return reply.send(
        response.body.kind === 'complete' ? response.body.string : response.body.asyncIterator,
      );
    },
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

/** Nine megabytes with everything in it, so loaded only where somebody looks. */
async function renderPage(defaultQuery: string): Promise<string> {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  return renderGraphiQL({
    title: 'Integrations',
    defaultQuery,
    headers: '{ "x-account-id": "demo" }',
    // Which sends the headers above, as a WebSocket of a browser cannot. With `endpoint`, which is the page's own anyway,
    // the other address would not count.
    ...{ subscriptionsProtocol: 'GRAPHQL_SSE', subscriptionsEndpoint: '/graphql/stream' },
  });
}

const needsIdentity = 'This needs an identity: send Authorization: Bearer <token>.';

function refuse(reply: FastifyReply, message: string): FastifyReply {
  return graphqlError(reply.header('www-authenticate', 'Bearer'), 401, 'UNAUTHENTICATED', message);
}

/** The header says the same as the error does, for who reads only headers. */
function refusedWith(
  reply: FastifyReply,
  status: number,
  errors: readonly { extensions?: Record<string, unknown> }[],
): FastifyReply {
  const seconds = errors[0]?.extensions?.retryAfterSeconds;
  if (typeof seconds === 'number') reply.header('retry-after', String(seconds));
  return reply.code(status).send({ errors });
}

function graphqlError(reply: FastifyReply, status: number, code: string, message: string): FastifyReply {
  return reply.code(status).send({ errors: [{ message, extensions: { code } }] });
}

function apolloLog(log: Log) {
  return {
    debug: (message: string) => log.debug(message),
    info: (message: string) => log.debug(message),
    warn: (message: string) => log.warn(message),
    error: (message: string) => log.error(message),
  };
}
