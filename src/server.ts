import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import { forgetAsked, type Context, type Core } from '../resolvers/context.ts';
import { createFormatError } from '../resolvers/formatError.ts';
import { boundAnswers, usualAnswerLimits } from './answers.ts';
import { callbackHeaders, callbackPage, returnAddress } from './callbackPage.ts';
import type { CallbackAnswer } from './connections/connect.ts';
import type { Clock } from './clock.ts';
import { createExecute } from './execution/executor.ts';
import { header } from './graphqlRequest.ts';
import { graphqlRoutes, streamRoute } from './graphqlRoutes.ts';
import { createGuard } from './guard/guard.ts';
import type { Limits } from './guard/limits.ts';
import { createSpending } from './guard/spending.ts';
import type { ResolveIdentity } from './identity.ts';
import { takeLastRequests } from './lastRequests.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { graphqlError } from './refusals.ts';
import { createRouterProof } from './routerProof.ts';
import {
  createSubscriptions,
  shouldUpgrade,
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
