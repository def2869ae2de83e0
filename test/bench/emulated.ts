import { createCaller, type Caller } from '../../src/calls/caller.ts';
import type { HttpResponse } from '../../src/calls/http.ts';
import { systemClock as clock } from '../../src/clock.ts';
import { createBucketsOf } from '../../src/connections/budgets.ts';
import { IntegrationError } from '../../src/errors.ts';
import type { Provider, ProviderRequest, Target } from '../../src/providers/provider.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { consent } from '../support/browser.ts';

/** One emulated provider of the sandbox, authorized, whose answers take as long as a real one's. */
export interface Emulated {
  target: Target;
  /** Past all delays and limits: to make data. */
  ask(request: ProviderRequest): Promise<HttpResponse>;
  admin(method: 'POST' | 'PUT', path: string, body: object): Promise<void>;
  /** All of them at once, each followed by its next ones, as our caller sends them at the published limits. */
  run(readings: readonly Reading[]): Promise<Spent>;
  close(): Promise<void>;
}

/** One request, and maybe those that follow from its answer. */
export interface Reading {
  request: ProviderRequest;
  /** How many records the provider looks up for it. */
  items: number;
  next?(response: HttpResponse): Reading | undefined;
}

export interface Spent {
  ms: number;
  /** 1: it was not over at the deadline, or could not have been. */
  unfinished: number;
  requests: number;
  /** Of a minute of the limit that it uses up most, in percent. */
  budget: number;
  /** What a plan that counts calls counts: each item of a batch is one. */
  metered: number;
}

/** What a round trip to another continent takes, and what a record costs the provider. */
const requestMs = 80;
const itemMs = 2;
/** The interactive deadline. */
const deadlineMs = 5_000;

export async function openEmulated(
  provider: Provider,
  account: { externalId: string; choose: Record<string, string> },
): Promise<Emulated> {
  const sandbox = await startSandbox({ port: 0, clock });
  const emulation = provider.id === 'slack' ? sandbox.slack : sandbox.quickbooks;
  const target = { apiUrl: emulation.apiUrl, externalId: account.externalId };
  const admin: Emulated['admin'] = async (method, path, body) => {
    const headers = { 'content-type': 'application/json' };
    const init = { method, headers, body: JSON.stringify(body) };
    const answer = await fetch(`${sandbox.url}/_admin/${path}`, init);
    if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`);
  };
  // Ours keep to them; another measurement's calls must not count.
  await admin('PUT', 'settings', { rateLimits: false });
  await admin('PUT', 'slack/settings', { rateLimits: false });
  const authorization = `Bearer ${await accessToken(provider, emulation, account.choose)}`;

  const buckets = createBucketsOf();
  const configured = { provider, endpoints: provider.endpoints, limits: provider.limits };
  const send = (caller: Caller, reading: Reading, deadlineAtMs: number): Promise<HttpResponse> => {
    const { request, items } = reading;
    const { pathname } = new URL(request.url);
    return caller.call({
      ...{ integration: provider.id, connectionId: 'one', host: new URL(request.url).host },
      ...{ priority: 'interactive', idempotent: true, classify: provider.classify },
      buckets: buckets(configured, target.externalId, request),
      deadlineAtMs,
      async request() {
        await admin('POST', 'faults', {
          delayMs: requestMs + itemMs * items,
          match: { pathContains: pathname },
        });
        return { ...request, headers: { ...request.headers, authorization } };
      },
    });
  };
  return {
    target,
    admin,
    async ask({ url, method, headers, body }) {
      const init = { method, headers: { ...headers, authorization }, ...(body !== undefined && { body }) };
      const answer = await fetch(url, init);
      return { status: answer.status, headers: {}, body: await answer.text() };
    },
    async run(readings) {
      const caller = createCaller({
        ...{ clock, requestTimeoutMs: 10_000 },
        retry: { baseMs: 100, capMs: 1_000, attempts: 1 },
        queue: { perBucket: 1_000, total: 1_000 },
      });
      const asked: Reading[] = [];
      const deadlineAtMs = clock.now() + deadlineMs;
      const follow = async (first: Reading): Promise<void> => {
        for (let reading: Reading | undefined = first; reading;) {
          asked.push(reading);
          const response = await send(caller, reading, deadlineAtMs);
          reading = reading.next?.(response);
        }
      };
      const startedAt = performance.now();
      const ended = await Promise.allSettled(readings.map(follow));
      const ms = performance.now() - startedAt;
      await caller.close();
      const failures = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
      for (const error of failures)
        if (!(error instanceof IntegrationError && error.code === 'DEADLINE_EXCEEDED')) throw error;
      const unfinished = failures.length > 0;
      return {
        ms: unfinished ? deadlineMs : ms,
        unfinished: unfinished ? 1 : 0,
        requests: asked.length,
        budget: mostUsed(provider, asked),
        metered: asked.reduce(
          (sum, { request, items }) => sum + (request.operation === 'batch' ? items : 1),
          0,
        ),
      };
    },
    close: () => sandbox.close(),
  };
}

function mostUsed(provider: Provider, asked: readonly Reading[]): number {
  const counts = (operations: readonly string[] | undefined, { operation = '' }: ProviderRequest) =>
    operations?.includes(operation);
  const shares = provider.limits
    .filter(({ windowMs }) => windowMs === 60_000)
    .map(({ limit, operations, exceptOperations }) => {
      const counted = asked.filter(
        ({ request }) =>
          (counts(operations, request) ?? true) && !(counts(exceptOperations, request) ?? false),
      );
      return (100 * counted.length) / limit;
    });
  return Math.max(...shares);
}

/** As a browser and an application would. */
async function accessToken(
  { oauth: { scopes, scopeSeparator } }: Provider,
  emulation: { authorizeUrl: string; tokenUrl: string; clientId: string; clientSecret: string },
  choose: Record<string, string>,
): Promise<string> {
  const redirectUri = 'http://localhost:4000/oauth/callback';
  const query = new URLSearchParams({
    ...{ client_id: emulation.clientId, redirect_uri: redirectUri, response_type: 'code', state: 'a state' },
    scope: scopes.join(scopeSeparator),
  });
  const back = await consent(`${emulation.authorizeUrl}?${query.toString()}`, choose, /connect|allow/i);
  const basic = Buffer.from(`${emulation.clientId}:${emulation.clientSecret}`).toString('base64');
  const answer = await fetch(emulation.tokenUrl, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams({
      ...{ grant_type: 'authorization_code', redirect_uri: redirectUri },
      code: new URL(back).searchParams.get('code') ?? '',
    }),
  });
  const { access_token: token } = (await answer.json()) as { access_token?: string };
  if (token === undefined) throw new Error(`no token: ${answer.status}`);
  return token;
}
