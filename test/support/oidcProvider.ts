/**
 * A strict authorization server from another hand (`oidc-provider`), on loopback: PKCE required, refresh tokens good
 * once, and the whole grant ended when one is used again; RFC 7009 revocation, RFC 9207 `iss`. Beside it an API that
 * takes its access tokens: `GET /api/records/<id>`.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Provider } from 'oidc-provider';
import { visit } from './browser.ts';

export interface OidcServer {
  url: string;
  clientId: string;
  clientSecret: string;
  /** Token requests, oldest first: `refresh_token ok`, `authorization_code failed`. */
  tokenRequests: string[];
  /** What the last successful token request gave. */
  latest(): { access_token: string; refresh_token: string };
  /** How often a whole grant was ended. */
  revokedGrants(): number;
  /** Records that were read. */
  reads: string[];
  isActive(token: string): Promise<boolean>;
  post(path: string, members: Record<string, string>): Promise<{ status: number; body: unknown }>;
  close(): Promise<void>;
}

export async function oidcServer(redirectUri: string): Promise<OidcServer> {
  const client = { clientId: 'acme-client', clientSecret: 'acme-secret-0123456789' };
  const tokenRequests: string[] = [];
  const reads: string[] = [];
  let revokedGrants = 0;
  let handle: (request: IncomingMessage, response: ServerResponse) => void = () => {};
  const server = createServer((request, response) => handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const provider = quietly(
    () =>
      new Provider(url, {
        clients: [
          {
            client_id: client.clientId,
            client_secret: client.clientSecret,
            redirect_uris: [redirectUri],
            grant_types: ['authorization_code', 'refresh_token'],
          },
        ],
        cookies: { keys: ['test'] },
        claims: { openid: ['sub'], profile: ['name'] },
        features: {
          revocation: { enabled: true, allowedPolicy: () => true },
          introspection: { enabled: true, allowedPolicy: () => true },
        },
        findAccount: (_ctx: unknown, id: string) => ({
          accountId: id,
          claims: () => ({ sub: id, name: `Name of ${id}` }),
        }),
        pkce: { required: () => true },
        ttl: {
          ...{ AccessToken: 3_600, IdToken: 3_600, RefreshToken: 1_209_600 },
          ...{ Grant: 1_209_600, Interaction: 3_600, Session: 86_400 },
        },
        rotateRefreshToken: true,
      }),
  );
  const note = (end: string) => (ctx: { oidc: { params?: { grant_type?: string } } }) =>
    void tokenRequests.push(`${ctx.oidc.params?.grant_type} ${end}`);
  provider.on('grant.success', note('ok')).on('grant.error', note('failed'));
  provider.on('grant.revoked', () => void (revokedGrants += 1));
  let latest: unknown;
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.path === '/token' && Object.hasOwn(ctx.body as object, 'access_token')) latest = ctx.body;
  });
  const oauth = provider.callback();

  const api = async (path: string, token: string, response: ServerResponse) => {
    const found = await provider.AccessToken.find(token);
    const status = found && !found.isExpired ? 200 : 401;
    const id = path.slice('/api/records/'.length);
    if (status === 200) reads.push(id);
    const record = { id, name: `Record ${id}`, changed: '2026-11-01T10:00:00Z', ssn: '123-45-6789' };
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(status === 200 ? { data: record } : { error: 'invalid_token' }));
  };
  handle = (request, response) => {
    const { url: path = '', headers } = request;
    if (path.startsWith('/api/records/'))
      void api(path, (headers.authorization ?? '').replace(/^Bearer /, ''), response);
    else oauth(request, response);
  };

  const post: OidcServer['post'] = async (path, members) => {
    const basic = Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64');
    const answer = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { authorization: `Basic ${basic}` },
      body: new URLSearchParams(members),
    });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
  };
  return {
    url,
    ...client,
    tokenRequests,
    reads,
    latest: () => latest as ReturnType<OidcServer['latest']>,
    revokedGrants: () => revokedGrants,
    post,
    async isActive(token) {
      const { body } = await post('/token/introspection', { token });
      return (body as { active: boolean }).active;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Its notices that it is no production server. */
function quietly<T>(make: () => T): T {
  const { info, warn } = console;
  console.info = console.warn = () => {};
  try {
    return make();
  } finally {
    Object.assign(console, { info, warn });
  }
}

/**
 * A browser with cookies: signs in as `login`, consents, and returns the address that the server redirects to outside
 * of itself.
 */
export async function signIn(authorizationUrl: string, login: string): Promise<string> {
  const home = new URL(authorizationUrl).origin;
  const cookies = new Map<string, string>();
  let next: { url: string; body?: URLSearchParams } = { url: authorizationUrl };
  for (let steps = 0; steps < 20; steps++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const { url, body } = next;
    const page = await visit(url, { headers: { cookie }, ...(body && { method: 'POST', body }) });
    for (const set of page.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set)!;
      cookies.set(name!, value!);
    }
    if (page.location !== null) {
      const target = new URL(page.location, url).href;
      if (!target.startsWith(home)) return target;
      next = { url: target };
      continue;
    }
    const action = /<form[^>]*action="([^"]+)"/.exec(page.body)?.[1];
    const prompt = /name="prompt" value="([^"]+)"/.exec(page.body)?.[1];
    if (action === undefined || prompt === undefined)
      throw new Error(`no form, but ${page.status}: ${page.body.slice(0, 300)}`);
    const fields = prompt === 'login' ? { prompt, login, password: 'any' } : { prompt };
    next = { url: new URL(action, url).href, body: new URLSearchParams(fields) };
  }
  throw new Error('the server keeps redirecting');
}
