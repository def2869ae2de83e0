import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { timingSafeEqual } from 'node:crypto';
import type { RequestLog } from '../requestLog.ts';
import { InvalidGrant, type Grants, type IssuedTokens } from './grants.ts';
import type { IdTokens } from './openid.ts';
import type { QuickBooksSettings } from './settings.ts';

export interface OAuthOptions {
  clientId: string;
  clientSecret: string;
  grants: Grants;
  settings: () => QuickBooksSettings;
  idTokens: IdTokens;
  requests: RequestLog;
}

/** A refusal as RFC 6749, 5.2 shapes it. */
class OAuthRefusal extends Error {
  override readonly name = 'OAuthRefusal';
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, description: string) {
    super(description);
    this.status = status;
    this.code = code;
  }
}

/** Token and revocation endpoint. */
export function oauthRoutes(app: FastifyInstance, options: OAuthOptions): void {
  const { grants, settings, idTokens, requests } = options;

  app.post('/oauth2/v1/tokens/bearer', async (request, reply) => {
    void reply.header('cache-control', 'no-store').header('pragma', 'no-cache');
    return refusing(reply, async () => {
      const form = readForm(request);
      const grantType = form.get('grant_type');
      const known = grantType === 'authorization_code' || grantType === 'refresh_token';
      requests.note(request, { grantType: known ? grantType : 'other' });
      authenticateClient(request, form, options);
      if (grantType === null) throw new OAuthRefusal(400, 'invalid_request', 'grant_type is missing');
      if (!known) throw new OAuthRefusal(400, 'unsupported_grant_type', 'Unsupported grant_type');
      const issued =
        grantType === 'refresh_token'
          ? grants.refresh(required(form, 'refresh_token'))
          : grants.exchange(
              required(form, 'code'),
              form.get('redirect_uri') ?? undefined,
              form.get('code_verifier') ?? undefined,
            );
      requests.note(request, { realmId: issued.grant.realmId });
      const withHardExpiry = request.headers['x-include-refresh-token-hard-expires-in'] === 'true';
      const answer = tokenAnswer(issued, settings(), withHardExpiry);
      const asksForId =
        grantType === 'authorization_code' && issued.grant.scope.split(' ').includes('openid');
      return asksForId
        ? { ...answer, id_token: await idTokens.sign(issued.grant, options.clientId) }
        : answer;
    });
  });

  // Not RFC 7009: JSON is usual, and an unknown token is an error.
  app.post('/v2/oauth2/tokens/revoke', (request, reply) =>
    refusing(reply, async () => {
      const isForm = (request.headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded');
      const form = isForm ? readForm(request) : new URLSearchParams();
      authenticateClient(request, form, options);
      const token = isForm ? form.get('token') : tokenOfJson(request.body);
      if (!token) throw new OAuthRefusal(400, 'invalid_request', 'token is missing');
      if (!grants.revoke(token)) throw new OAuthRefusal(400, 'invalid_request', 'Token invalid');
      return reply.code(200).send();
    }),
  );
}

async function refusing(reply: FastifyReply, work: () => Promise<object>): Promise<object> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof InvalidGrant) {
      return reply.code(400).send({ error: 'invalid_grant', error_description: error.message });
    }
    if (!(error instanceof OAuthRefusal)) throw error;
    if (error.status === 401) void reply.header('www-authenticate', 'Basic realm="Intuit"');
    return reply.code(error.status).send({ error: error.code, error_description: error.message });
  }
}

function tokenAnswer(
  issued: IssuedTokens,
  { tokenScope }: QuickBooksSettings,
  withHardExpiry: boolean,
): object {
  return {
    token_type: 'bearer',
    access_token: issued.accessToken,
    expires_in: issued.expiresInSeconds,
    ...(issued.refreshToken !== undefined && { refresh_token: issued.refreshToken }),
    x_refresh_token_expires_in: issued.refreshExpiresInSeconds,
    ...(withHardExpiry && { x_refresh_token_hard_expires_in: issued.hardExpiresInSeconds }),
    ...(tokenScope !== null && { scope: tokenScope }),
  };
}

function readForm(request: FastifyRequest): URLSearchParams {
  if (!(request.headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded')) {
    throw new OAuthRefusal(400, 'invalid_request', 'The body must be application/x-www-form-urlencoded');
  }
  const form = new URLSearchParams(typeof request.body === 'string' ? request.body : '');
  for (const name of new Set(form.keys())) {
    if (form.getAll(name).length > 1)
      throw new OAuthRefusal(400, 'invalid_request', `${name} was sent more than once`);
  }
  return form;
}

function tokenOfJson(body: unknown): string | null {
  try {
    const { token } = JSON.parse(String(body)) as { token?: unknown };
    return typeof token === 'string' ? token : null;
  } catch {
    return null;
  }
}

function required(form: URLSearchParams, name: string): string {
  const value = form.get(name);
  if (!value) throw new OAuthRefusal(400, 'invalid_request', `${name} is missing`);
  return value;
}

/** RFC 6749, 2.3.1: Basic with form-encoded parts, or both in the body; not both ways at once. */
function authenticateClient(
  request: FastifyRequest,
  form: URLSearchParams,
  { clientId, clientSecret }: OAuthOptions,
): void {
  const basic = /^Basic (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (basic !== undefined && form.has('client_secret')) {
    throw new OAuthRefusal(400, 'invalid_request', 'Client credentials were sent in two ways');
  }
  const [id, secret] =
    basic === undefined ? [form.get('client_id'), form.get('client_secret')] : basicCredentials(basic);
  if (!same(id, clientId) || !same(secret, clientSecret)) {
    throw new OAuthRefusal(401, 'invalid_client', 'Invalid client credentials');
  }
}

function basicCredentials(basic: string): [string | null, string | null] {
  const text = Buffer.from(basic, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  try {
    return colon < 0 ? [null, null] : [formDecoded(text.slice(0, colon)), formDecoded(text.slice(colon + 1))];
  } catch {
    return [null, null];
  }
}

function formDecoded(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}

function same(given: string | null, expected: string): boolean {
  const [a, b] = [Buffer.from(given ?? ''), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
