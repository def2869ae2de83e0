/**
 * A strict authorization server from another hand (`oidc-provider`), on loopback: PKCE required, refresh tokens good
 * once, and the whole grant ended when one is used again; RFC 7009 revocation, RFC 9207 `iss`. Beside it an API that
 * takes its access tokens: `GET /v1/me`, `GET /v1/customers/<id>`, and `GET /v1/customers`, in pages.
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
  /** What of the API was read. */
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
        routes: {
          ...{ authorization: '/authorize', token: '/token', revocation: '/revoke' },
          ...{ introspection: '/introspect', userinfo: '/v1/me' },
        },
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

  const answer = async (target: string, token: string): Promise<[status: number, body: object]> => {
    const found = await provider.AccessToken.find(token);
    if (!found || found.isExpired) return [401, { error: 'invalid_token' }];
    const { pathname, searchParams } = new URL(target, url);
    reads.push(target);
    if (pathname !== '/v1/customers')
      return [200, { data: customer(pathname.slice('/v1/customers/'.length)) }];
    const page = Number(searchParams.get('page') ?? 1);
    return [200, { data: [customer(`${page}1`), customer(`${page}2`)], next: page < 3 ? page + 1 : null }];
  };
  handle = (request, response) => {
    const { url: path = '', headers } = request;
    if (!path.startsWith('/v1/customers')) return oauth(request, response);
    void answer(path, (headers.authorization ?? '').replace(/^Bearer /, '')).then(([status, body]) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
    );
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
      const { body } = await post('/introspect', { token });
      return (body as { active: boolean }).active;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const customer = (id: string) => ({
  id,
  name: `Customer ${id}`,
  changed_at: '2026-11-01T10:00:00Z',
  ssn: '123-45-6789',
});

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
