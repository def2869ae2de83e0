import type { FastifyReply, FastifyRequest } from 'fastify';
import { timingSafeEqual } from 'node:crypto';
import type { RequestLog } from '../requestLog.ts';
import type { MyCarrierPacketsSettings } from './settings.ts';
import { hashOf, type Tokens } from './tokens.ts';

export interface User {
  /** As it is answered; found in any case. */
  userName: string;
  /** SHA-256, so that what is kept is no secret. */
  passwordHash: string;
  customerId: number;
  disabled: boolean;
}

export interface TokenEndpointOptions {
  findUser: (userName: string) => User | undefined;
  tokens: Tokens;
  settings: () => MyCarrierPacketsSettings;
  requests: RequestLog;
}

/**
 * `POST /token`: an integration user's name and password, or a refresh token; there are no clients. What is wrong is
 * told as RFC 6749, 5.2 has it, always with 400. Anything that is no form counts as an empty one.
 */
export function tokenEndpoint(options: TokenEndpointOptions) {
  const { tokens, settings, requests } = options;
  return (request: FastifyRequest, reply: FastifyReply) => {
    const refused = (error: string, error_description?: string) =>
      reply.code(400).send({ error, ...(error_description && { error_description }) });
    const form = readForm(request);
    const grantType = form.get('grant_type');
    const known = grantType === 'password' || grantType === 'refresh_token';
    requests.note(request, { grantType: known ? grantType : 'other' });
    void reply.type('application/json;charset=UTF-8');

    if (grantType === 'password') {
      const user = options.findUser(form.get('username') ?? '');
      const hash = hashOf(form.get('password') ?? '');
      if (!user || !same(hash, user.passwordHash) || user.disabled) {
        return refused('invalid_grant', 'The user name or password is incorrect.');
      }
      return reply.send(tokens.signIn(user.userName));
    }
    if (grantType === 'refresh_token') {
      const hasClient = form.has('client_id') || form.has('client_secret');
      const isRefused = hasClient && settings().clientCredentialsOnRefresh === 'refused';
      const issued = isRefused ? undefined : tokens.refresh(form.get('refresh_token') ?? '');
      // Without a description, unlike a wrong password.
      return issued ? reply.send(issued) : refused('invalid_grant');
    }
    return refused('unsupported_grant_type');
  };
}

function readForm(request: FastifyRequest): URLSearchParams {
  const isForm = (request.headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded');
  return new URLSearchParams(isForm && typeof request.body === 'string' ? request.body : '');
}

function same(given: string, expected: string): boolean {
  return timingSafeEqual(Buffer.from(given), Buffer.from(expected));
}
