import type { FastifyReply } from 'fastify';

export const needsIdentity = 'This needs an identity: send Authorization: Bearer <token>.';

export function refuse(reply: FastifyReply, message: string): FastifyReply {
  return graphqlError(reply.header('www-authenticate', 'Bearer'), 401, 'UNAUTHENTICATED', message);
}

/** The header says the same as the error does, for who reads only headers. */
export function refusedWith(
  reply: FastifyReply,
  status: number,
  errors: readonly { extensions?: Record<string, unknown> }[],
): FastifyReply {
  const seconds = errors[0]?.extensions?.retryAfterSeconds;
  if (typeof seconds === 'number') reply.header('retry-after', String(seconds));
  return reply.code(status).send({ errors });
}

/** An error as GraphQL has it, under the HTTP status that says the same. */
export function graphqlError(
  reply: FastifyReply,
  status: number,
  code: string,
  message: string,
): FastifyReply {
  return reply.code(status).send({ errors: [{ message, extensions: { code } }] });
}
