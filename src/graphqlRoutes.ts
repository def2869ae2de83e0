import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import { createContext, type Context, type Core } from '../resolvers/context.ts';
import type { createFormatError } from '../resolvers/formatError.ts';
import { createApollo } from './apollo.ts';
import type { Execute } from './execution/executor.ts';
import { bodyOf, header, queryOf, toApollo, type Body } from './graphqlRequest.ts';
import { statusOf, type Guard } from './guard/guard.ts';
import { UnauthenticatedError, type Identity, type ResolveIdentity } from './identity.ts';
import type { Log } from './log.ts';
import { graphqlError, needsIdentity, refuse, refusedWith } from './refusals.ts';
import type { RouterProof } from './routerProof.ts';
import type { Subscriptions } from './subscriptions/subscriptions.ts';

/** What the GraphQL routes work with. */
export interface GraphQLEdge {
  schema: GraphQLSchema;
  core: Core;
  resolveIdentity: ResolveIdentity;
  routerProof: RouterProof;
  guard: Guard;
  execute: Execute<Context>;
  formatError: ReturnType<typeof createFormatError>;
  production: boolean;
  /** What GraphiQL opens with. */
  firstQuery: string;
  log: Log;
}

/** Who asks; undefined when nobody in particular, or when the request was answered because it may not be believed. */
async function identify(
  request: FastifyRequest,
  reply: FastifyReply,
  body: Body,
  { resolveIdentity, routerProof, production, log }: GraphQLEdge,
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

/** `/graphql/stream`: subscriptions as server-sent events. */
export function streamRoute(app: FastifyInstance, options: GraphQLEdge, subscriptions: Subscriptions): void {
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

/** `/graphql`: queries and mutations, callback subscriptions, and GraphiQL where the schema is no secret. */
export async function graphqlRoutes(
  app: FastifyInstance,
  options: GraphQLEdge,
  subscriptions: Subscriptions,
): Promise<void> {
  const { core, production, guard } = options;
  const apollo = createApollo(options);
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
