/**
 * The emulated MyCarrierPackets, steered as a client, a customer and an operator would.
 *
 *   const portal = await openPortal({ rateLimits: false });
 *   const { access_token } = await portal.signIn();
 *   const answer = await portal.api(access_token, 'GetCarrierData?DOTNumber=9999997');
 *   await portal.admin('POST', 'packets', { dotNumber: 9999997 });
 *   await portal.close();
 */
import type { SandboxOptions } from '../../../src/sandbox/sandbox.ts';
import type { ManualClock } from '../../support/manualClock.ts';
import { openSandbox, type Answer, type TestSandbox } from '../../support/sandbox.ts';

export const testCarrier = 9_999_997;

export interface TokenAnswer {
  access_token: string;
  token_type: string;
  expires_in: number;
  refresh_token?: string;
  userName: string;
  '.issued'?: string;
  '.expires'?: string;
  error?: string;
  error_description?: string;
}

export interface TestPortal extends Pick<TestSandbox, 'url' | 'clock' | 'myCarrierPackets' | 'close'> {
  /** A request to the token endpoint. */
  token(fields: Record<string, string>): Promise<Omit<Answer, 'json'> & { json: TokenAnswer }>;
  /** As the first customer's user, or as the one given. */
  signIn(fields?: Record<string, string>): Promise<TokenAnswer & { refresh_token: string }>;
  refresh(refreshToken: string): Promise<Omit<Answer, 'json'> & { json: TokenAnswer }>;
  /** `POST /api/v1/Carrier/<path>`, unless `init` says else. */
  api(token: string, path: string, init?: RequestInit): Promise<Answer>;
  /** Below `/_admin/mycarrierpackets`. */
  admin(method: string, path: string, body?: unknown): Promise<Answer>;
  /** Of the whole sandbox, below `/_admin`. */
  sandboxAdmin: TestSandbox['admin'];
}

export async function openPortal(
  settings: Record<string, unknown> = {},
  options: Partial<SandboxOptions> & { clock?: ManualClock } = {},
): Promise<TestPortal> {
  const sandbox = await openSandbox(options);
  const { tokenUrl, apiUrl, username, password } = sandbox.myCarrierPackets;
  const portal: TestPortal = {
    url: sandbox.url,
    clock: sandbox.clock,
    myCarrierPackets: sandbox.myCarrierPackets,
    close: () => sandbox.close(),
    sandboxAdmin: (method, path, body) => sandbox.admin(method, path, body),
    admin: (method, path, body) => sandbox.admin(method, `mycarrierpackets/${path}`, body),
    async token(fields) {
      const answer = await fetch(tokenUrl, { method: 'POST', body: new URLSearchParams(fields) });
      return (await read(answer)) as Awaited<ReturnType<TestPortal['token']>>;
    },
    async signIn(fields = {}) {
      const answer = await portal.token({ grant_type: 'password', username, password, ...fields });
      if (answer.status !== 200) throw new Error(`no token: ${answer.text}`);
      return answer.json as TokenAnswer & { refresh_token: string };
    },
    refresh: (refresh_token) => portal.token({ grant_type: 'refresh_token', refresh_token }),
    async api(token, path, init = {}) {
      const headers = { authorization: `bearer ${token}`, ...(init.headers as Record<string, string>) };
      return read(await fetch(`${apiUrl}/api/v1/Carrier/${path}`, { method: 'POST', ...init, headers }));
    },
  };
  const answer = await portal.admin('PUT', 'settings', settings);
  if (answer.status !== 200) throw new Error(answer.text);
  return portal;
}

async function read(response: Response): Promise<Answer> {
  const text = await response.text();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  const member = (value: unknown, name: string) => (value as Record<string, unknown> | undefined)?.[name];
  return {
    status: response.status,
    headers: response.headers,
    text,
    json,
    at: (path) => path.split('.').reduce<unknown>(member, json),
  };
}
