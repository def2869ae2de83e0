import { HeaderMap, type HTTPGraphQLRequest } from '@apollo/server';
import type { FastifyRequest } from 'fastify';

/** GraphQL over HTTP, as it is read: https://graphql.github.io/graphql-over-http/draft/ */

/** What is asked, or why it cannot be read. */
export type Body = { json: unknown } | { status: number; message: string };

/** What a GET carries in its address, `variables` and `extensions` as JSON. */
export function queryOf(request: FastifyRequest): Body {
  const { query, operationName, variables, extensions } = request.query as Record<string, string | undefined>;
  const parsed = (text: string | undefined) =>
    text === undefined ? undefined : (JSON.parse(text) as unknown);
  try {
    return { json: { query, operationName, variables: parsed(variables), extensions: parsed(extensions) } };
  } catch {
    return { status: 400, message: '`variables` and `extensions` must be JSON.' };
  }
}

export function bodyOf(request: FastifyRequest): Body {
  const { 'content-type': type = '', 'content-encoding': coding = 'identity' } = request.headers;
  if (!/^identity$/i.test(coding)) return { status: 415, message: 'The content must not be encoded.' };
  if (!/^application\/(json|graphql\+json)\s*(;|$)/i.test(type))
    return { status: 415, message: 'The content type must be application/json.' };
  try {
    return { json: JSON.parse((request.body as Buffer | undefined)?.toString('utf8') ?? '') as unknown };
  } catch {
    return { status: 400, message: 'The body is not JSON.' };
  }
}

export function toApollo(request: FastifyRequest, body: unknown): HTTPGraphQLRequest {
  const headers = new HeaderMap();
  for (const [name, value] of Object.entries(request.headers))
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  const start = request.url.indexOf('?');
  return { method: request.method, headers, search: start === -1 ? '' : request.url.slice(start), body };
}

export function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}
