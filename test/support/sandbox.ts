/**
 * The emulated providers, steered as a browser, a client and an operator would.
 *
 *   const sandbox = await openSandbox({ settings: { refreshMode: 'reuse-kills-grant' } });
 *   const tokens = await sandbox.connect();
 *   const answer = await sandbox.api(tokens.access_token, 'query?query=select count(*) from Invoice');
 *   await sandbox.clock.advance(3_600_000);
 *   await sandbox.close();
 */
import { startSandbox, type Sandbox, type SandboxOptions } from '../../src/sandbox/sandbox.ts';
import { manualClock, type ManualClock } from './manualClock.ts';

export const mainRealmId = '9341452881001001';
export const otherRealmId = '9341452881002002';
export const redirectUri = 'http://localhost:4000/oauth/quickbooks/callback';

export interface TokenAnswer {
  token_type: string;
  access_token: string;
  refresh_token: string;
  expires_in: number;
  x_refresh_token_expires_in: number;
  x_refresh_token_hard_expires_in?: number;
  scope?: string;
  error?: string;
  error_description?: string;
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  /** The parsed text; undefined when it is not JSON. */
  json: unknown;
  /** One member of it: `at('Fault.Error.0.code')`. Undefined when there is none. */
  at(path: string): unknown;
}

export type TokenEndpointAnswer = Omit<Answer, 'json'> & { json: TokenAnswer };

export interface TestSandbox extends Sandbox {
  clock: ManualClock;
  /** Posts the consent form; returns where the browser is sent. */
  consent(fields?: Record<string, string>): Promise<URL>;
  /** A request to the token endpoint. */
  token(fields: Record<string, string>, headers?: Record<string, string>): Promise<TokenEndpointAnswer>;
  refresh(refreshToken: string): Promise<TokenEndpointAnswer>;
  /** Consent and exchange. */
  connect(fields?: Record<string, string>): Promise<TokenAnswer>;
  /** A request to the API of the main company, or of another when the path is absolute. JSON unless `accept` says else. */
  api(token: string, path: string, init?: RequestInit & { accept?: string }): Promise<Answer>;
  post(token: string, path: string, body: unknown): Promise<Answer>;
  admin(method: string, path: string, body?: unknown): Promise<Answer>;
}

export async function openSandbox(
  options: Partial<SandboxOptions> & { clock?: ManualClock; settings?: Record<string, unknown> } = {},
): Promise<TestSandbox> {
  const { settings, clock = manualClock(), ...rest } = options;
  const sandbox = await startSandbox({ port: 0, ...rest, clock });
  const { quickbooks } = sandbox;
  const basic = Buffer.from(`${quickbooks.clientId}:${quickbooks.clientSecret}`).toString('base64');

  const test: TestSandbox = {
    ...sandbox,
    clock,
    async consent(fields = {}) {
      const answer = await fetch(quickbooks.authorizeUrl, {
        method: 'POST',
        redirect: 'manual',
        body: new URLSearchParams({
          client_id: quickbooks.clientId,
          redirect_uri: redirectUri,
          response_type: 'code',
          scope: 'com.intuit.quickbooks.accounting',
          state: 'a state',
          realmId: mainRealmId,
          decision: 'connect',
          ...fields,
        }),
      });
      const location = answer.headers.get('location');
      if (location === null) throw new Error(`no redirect: ${answer.status} ${await answer.text()}`);
      return new URL(location);
    },
    async token(fields, headers = {}) {
      const answer = await fetch(quickbooks.tokenUrl, {
        method: 'POST',
        headers: { authorization: `Basic ${basic}`, ...headers },
        body: new URLSearchParams(fields),
      });
      return (await read(answer)) as TokenEndpointAnswer;
    },
    refresh: (refresh_token) => test.token({ grant_type: 'refresh_token', refresh_token }),
    async connect(fields = {}) {
      const code = (await test.consent(fields)).searchParams.get('code') ?? '';
      const answer = await test.token({
        grant_type: 'authorization_code',
        code,
        redirect_uri: fields['redirect_uri'] ?? redirectUri,
      });
      if (answer.status !== 200) throw new Error(`no token: ${answer.text}`);
      return answer.json;
    },
    async api(token, path, { accept = 'application/json', ...init } = {}) {
      const url = path.startsWith('/')
        ? `${quickbooks.apiUrl}${path}`
        : `${quickbooks.apiUrl}/v3/company/${mainRealmId}/${path}`;
      const headers = {
        authorization: `Bearer ${token}`,
        accept,
        ...(init.headers as Record<string, string>),
      };
      return read(await fetch(url, { ...init, headers }));
    },
    post: (token, path, body) =>
      test.api(token, path, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      }),
    async admin(method, path, body) {
      const init =
        body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
      return read(await fetch(`${sandbox.url}/_admin/${path}`, { method, ...init }));
    },
  };
  if (settings) {
    const answer = await test.admin('PUT', 'settings', settings);
    if (answer.status !== 200) throw new Error(answer.text);
  }
  return test;
}

async function read(response: Response): Promise<Answer> {
  const text = await response.text();
  const json = parsed(text);
  return {
    status: response.status,
    headers: response.headers,
    text,
    json,
    at: (path) =>
      path
        .split('.')
        .reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], json),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
