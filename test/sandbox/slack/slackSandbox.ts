/**
 * The emulated Slack, steered as a browser, an app and an operator would.
 *
 *   const sandbox = await openSlack({ settings: { tokenRotation: false } });
 *   const tokens = await sandbox.install();
 *   const answer = await sandbox.call('team.info', { token: tokens.access_token });
 *   const receiver = await sandbox.receive();
 *   await sandbox.change({ change: 'rename-team', name: 'New' });
 *   const { envelope } = await receiver.next();
 *   await sandbox.close();
 */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../../src/clock.ts';
import { startSandbox, type Sandbox, type SandboxOptions } from '../../../src/sandbox/sandbox.ts';
import { manualClock, type ManualClock } from '../../support/manualClock.ts';

export const mainTeamId = 'T07PGLOMAHA';
export const otherTeamId = 'T08BRFROANK';
export const enterpriseTeamId = 'T09HMTSEATL';
export const redirectUri = 'http://localhost:4000/oauth/slack/callback';
export const readScopes = 'channels:read,team:read,users:read';

/** An answer's body: its shape is what a test asserts. */
export type Json = any; // oxlint-disable-line typescript/no-explicit-any

export interface SlackAnswer {
  status: number;
  headers: Headers;
  json: Json;
}

export interface SlackTest<C extends Clock = ManualClock> extends Sandbox {
  clock: C;
  /** Posts the consent form; returns where the browser is sent. */
  consent(fields?: Record<string, string>): Promise<URL>;
  /** `oauth.v2.access` with Basic. */
  access(fields: Record<string, string>): Promise<SlackAnswer>;
  refresh(refreshToken: string): Promise<SlackAnswer>;
  /** Consent and exchange. Throws unless both go well. */
  install(fields?: Record<string, string>): Promise<Json>;
  /** A POSTed form with the token as bearer. */
  call(method: string, fields: { token?: string } & Record<string, string>): Promise<SlackAnswer>;
  admin(method: string, path: string, body?: unknown): Promise<SlackAnswer>;
  /** Of the main workspace, unless it says else. Throws unless it is done. */
  change(change: { change: string } & Record<string, unknown>): Promise<Json>;
  /** Becomes the app's request URL. */
  receive(): Promise<Receiver>;
}

export async function openSlack<C extends Clock = ManualClock>(
  options: Partial<Omit<SandboxOptions, 'clock'>> & { clock?: C; settings?: Record<string, unknown> } = {},
): Promise<SlackTest<C>> {
  const { settings, clock = manualClock() as unknown as C, ...rest } = options;
  const sandbox = await startSandbox({ port: 0, ...rest, clock });
  const { slack } = sandbox;
  const receivers: Receiver[] = [];
  const test: SlackTest<C> = {
    ...sandbox,
    clock,
    async consent(fields = {}) {
      const answer = await fetch(slack.authorizeUrl, {
        method: 'POST',
        redirect: 'manual',
        body: new URLSearchParams({
          client_id: slack.clientId,
          redirect_uri: redirectUri,
          scope: readScopes,
          state: 'a state',
          team: mainTeamId,
          decision: 'allow',
          ...fields,
        }),
      });
      const location = answer.headers.get('location');
      if (location === null) throw new Error(`no redirect: ${answer.status} ${await answer.text()}`);
      return new URL(location);
    },
    async access(fields) {
      const basic = Buffer.from(`${slack.clientId}:${slack.clientSecret}`).toString('base64');
      return postForm(slack.tokenUrl, `Basic ${basic}`, fields);
    },
    refresh: (refresh_token) => test.access({ grant_type: 'refresh_token', refresh_token }),
    async install(fields = {}) {
      const code = (await test.consent(fields)).searchParams.get('code') ?? '';
      const { json } = await test.access({ code, redirect_uri: fields['redirect_uri'] ?? redirectUri });
      if (!json.ok) throw new Error(`not installed: ${JSON.stringify(json)}`);
      return json;
    },
    call: (method, { token, ...fields }) =>
      postForm(`${slack.apiUrl}/${method}`, token === undefined ? undefined : `Bearer ${token}`, fields),
    async admin(method, path, body) {
      const init =
        body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
      return read(await fetch(`${sandbox.url}/_admin/${path}`, { method, ...init }));
    },
    async change(change) {
      const { status, json } = await test.admin('POST', 'slack/changes', { teamId: mainTeamId, ...change });
      if (status !== 200) throw new Error(json.error);
      return json;
    },
    async receive() {
      const receiver = await openReceiver();
      receivers.push(receiver);
      const { status, json } = await test.admin('PUT', 'slack/request-url', { url: receiver.url });
      if (status !== 200) throw new Error(json.error);
      return receiver;
    },
    async close() {
      await sandbox.close();
      await Promise.all(receivers.map((one) => one.close()));
    },
  };
  if (settings) {
    const { status, json } = await test.admin('PUT', 'slack/settings', settings);
    if (status !== 200) throw new Error(json.error);
  }
  return test;
}

async function postForm(
  url: string,
  authorization: string | undefined,
  fields: Record<string, string>,
): Promise<SlackAnswer> {
  // As text: fetch would name a charset, and Slack warns of that.
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    ...(authorization !== undefined && { authorization }),
  };
  const body = new URLSearchParams(fields).toString();
  return read(await fetch(url, { method: 'POST', headers, body }));
}

async function read(response: Response): Promise<SlackAnswer> {
  const text = await response.text();
  let json: Json;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: response.status, headers: response.headers, json };
}

export interface Received {
  headers: IncomingHttpHeaders;
  body: string;
  envelope: Json;
}

export interface Receiver {
  url: string;
  /** All but the handshakes, in the order of arrival. */
  all: Received[];
  /** The next that was not taken yet; waits for it in real time, five seconds at most. */
  next(): Promise<Received>;
  /** How to answer from now on: a status, with headers, or never. */
  answer: (index: number) => { status: number; headers?: Record<string, string> } | 'hang';
  close(): Promise<void>;
}

export async function openReceiver(): Promise<Receiver> {
  let taken = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8');
      const envelope = JSON.parse(body) as Json;
      if (envelope.type === 'url_verification') return response.end(envelope.challenge);
      receiver.all.push({ headers: request.headers, body, envelope });
      const answer = receiver.answer(receiver.all.length - 1);
      return answer === 'hang' ? undefined : response.writeHead(answer.status, answer.headers).end();
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhooks/slack`,
    all: [],
    answer: () => ({ status: 200 }),
    async next() {
      for (let waitedMs = 0; receiver.all.length <= taken; waitedMs += 5) {
        if (waitedMs > 5000) throw new Error('nothing was received');
        await sleep(5);
      }
      taken += 1;
      return receiver.all[taken - 1]!;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
  return receiver;
}
