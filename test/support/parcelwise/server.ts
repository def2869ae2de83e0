/**
 * Parcelwise, the invented provider of docs/adding-a-provider.md, over real HTTP: OAuth 2 with PKCE, reads by id and by
 * list, changes by cursor, its own error envelope and rate limit headers, signed webhooks.
 *
 *   const parcelwise = await startParcelwise();
 *   parcelwise.fail(503);                             // from now on, until `fail(undefined)`
 *   parcelwise.data.write('shipments', 'shp_100000', { status: 'delivered' });
 *   const { body, headers } = parcelwise.delivery([{ type: 'shipment.updated', object_id: 'shp_100000' }]);
 */
import { createHmac, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createData, merchant, type ParcelwiseData } from './data.ts';
import { createTokens, type ParcelwiseTokens } from './tokens.ts';

export interface ParcelwiseServer {
  endpoints: { authorizeUrl: string; tokenUrl: string; revokeUrl: string; apiUrl: string };
  credentials: { clientId: string; clientSecret: string };
  webhookSecret: string;
  data: ParcelwiseData;
  tokens: ParcelwiseTokens;
  /** What has arrived, oldest first. */
  requests: { method: string; path: string }[];
  /** All of the API answers this; undefined: as usual. */
  fail(status: number | undefined): void;
  /** Cursors that were given out are no longer known. */
  forgetCursors(): void;
  /** Signed now, or at another time. */
  delivery(events: readonly object[], atSeconds?: number): { body: string; headers: Record<string, string> };
  close(): Promise<void>;
}

interface Answer {
  status: number;
  body: object | string;
  headers?: Record<string, string>;
}

const mostIds = 50;
const callsPerMinute = 600;

export async function startParcelwise(): Promise<ParcelwiseServer> {
  const data = createData(Date.now);
  const tokens = createTokens(merchant.id);
  const requests: ParcelwiseServer['requests'] = [];
  const credentials = { clientId: 'pw-client', clientSecret: 'pw-secret-0123456789' };
  const webhookSecret = 'pw-webhook-secret-0123456789';
  const cursors = new Map<string, { kind: string; since: string | null; from: number }>();
  let failing: number | undefined;

  const list = (kind: string, search: URLSearchParams): Answer => {
    const ids = search.get('ids')?.split(',');
    if (ids && ids.length > mostIds)
      return refusal(400, 'too_many_ids', [{ field: 'ids', text: `at most ${mostIds}` }]);
    if (ids) return { status: 200, body: { items: ids.flatMap((id) => data.find(kind, id) ?? []) } };
    return page({ kind, since: null, from: 0 }, data.list(kind), search);
  };
  const page = (
    at: { kind: string; since: string | null; from: number },
    all: object[],
    search: URLSearchParams,
  ): Answer => {
    const limit = Math.min(Number(search.get('limit') ?? 100), 200);
    const end = at.from + limit;
    const next = end < all.length ? randomUUID() : undefined;
    if (next !== undefined) cursors.set(next, { ...at, from: end });
    return {
      status: 200,
      body: { items: all.slice(at.from, end), next_cursor: next ?? null, as_of: new Date().toISOString() },
    };
  };
  const changes = (kind: string, search: URLSearchParams): Answer => {
    const cursor = search.get('cursor');
    const at = cursor === null ? { kind, since: search.get('since'), from: 0 } : cursors.get(cursor);
    if (!at) return refusal(410, 'cursor_expired');
    return page(at, data.changes(kind, at.since), search);
  };
  const api = ({ method, headers }: IncomingMessage, path: string, search: URLSearchParams): Answer => {
    if (failing !== undefined)
      return failing === 429
        ? { ...refusal(429, 'too_many_requests'), headers: { 'retry-after': '60' } }
        : { status: failing, body: '<html><title>Parcelwise is resting</title></html>' };
    const refused = tokens.refuses(/^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? '');
    if (refused) return refusal(401, refused);
    const [kind = '', id] = path.split('/');
    if (method !== 'GET') return refusal(405, 'method_not_allowed');
    if (kind === 'merchant') return { status: 200, body: merchant };
    if (!['shipments', 'warehouses', 'pickups'].includes(kind)) return refusal(404, 'no_such_path');
    if (id === undefined) return list(kind, search);
    if (id === 'changes' && kind === 'shipments') return changes(kind, search);
    const found = data.find(kind, id);
    return found ? { status: 200, body: found } : refusal(404, 'not_found');
  };
  const oauth = ({ headers }: IncomingMessage, path: string, form: URLSearchParams): Answer => {
    const { clientId, clientSecret } = credentials;
    const basic = Buffer.from(`${clientId}:${clientSecret}`).toString('base64');
    if (headers.authorization !== `Basic ${basic}`) return { status: 401, body: { error: 'invalid_client' } };
    if (path === 'token') return tokens.token(form);
    tokens.revoke(form.get('token') ?? '');
    return { status: 200, body: {} };
  };
  /** A page that asks, and the answer to it. */
  const authorize = (method: string, search: URLSearchParams): Answer => {
    if (method === 'GET')
      return {
        status: 200,
        body: `<form method="post" action="?${search.toString().replaceAll('&', '&amp;')}"><button name="decision" value="allow">Allow</button></form>`,
      };
    const back = new URL(search.get('redirect_uri')!);
    back.searchParams.set('state', search.get('state') ?? '');
    back.searchParams.set('code', tokens.issueCode(search));
    return { status: 303, body: '', headers: { location: back.href } };
  };

  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    request.on('end', () => {
      const { pathname, searchParams } = new URL(request.url!, 'http://parcelwise');
      requests.push({ method: request.method!, path: pathname });
      const answer = pathname.startsWith('/v2/')
        ? api(request, pathname.slice('/v2/'.length), searchParams)
        : pathname === '/oauth/authorize'
          ? authorize(request.method!, searchParams)
          : oauth(request, pathname.slice('/oauth/'.length), new URLSearchParams(text));
      const isPage = typeof answer.body === 'string';
      const used = requests.filter(({ path }) => path.startsWith('/v2/')).length;
      response.writeHead(answer.status, {
        'content-type': isPage ? 'text/html' : 'application/json',
        'parcelwise-trace': `trace-${requests.length}`,
        'ratelimit-limit': `${callsPerMinute}, ${callsPerMinute};w=60`,
        'ratelimit-remaining': String(Math.max(0, callsPerMinute - used)),
        'ratelimit-reset': '60',
        ...answer.headers,
      });
      response.end(isPage ? answer.body : JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    endpoints: {
      authorizeUrl: `${url}/oauth/authorize`,
      tokenUrl: `${url}/oauth/token`,
      revokeUrl: `${url}/oauth/revoke`,
      apiUrl: `${url}/v2`,
    },
    ...{ credentials, webhookSecret, data, tokens, requests },
    fail: (status) => void (failing = status),
    forgetCursors: () => cursors.clear(),
    delivery(events, atSeconds = Math.floor(Date.now() / 1_000)) {
      const at = new Date().toISOString();
      const named = events.map((event) => ({ id: `evt_${randomUUID()}`, at, ...event }));
      const body = JSON.stringify({ merchant_id: merchant.id, events: named });
      const signature = createHmac('sha256', webhookSecret).update(`${atSeconds}.${body}`).digest('hex');
      return { body, headers: { 'parcelwise-signature': `t=${atSeconds},v1=${signature}` } };
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const refusal = (status: number, kind: string, fields: readonly object[] = []): Answer => ({
  status,
  body: { error: { kind, text: `Parcelwise says ${kind}.`, fields } },
});
