/**
 * What becomes of grants outside of a connection, its parts put together as the product does it, against a provider
 * that answers what the test says. Integrations: `company` ends all that we have of an external account when
 * something is revoked, `single` one authorization, `workspace` revokes as Slack does, `silent` not at all; `strict` takes
 * no refresh token twice, `away` does not answer, `bare-client` and `anonymous` have no credentials.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createCaller } from '../../src/calls/caller.ts';
import { systemClock } from '../../src/clock.ts';
import { openJobs } from '../../src/db/jobs.ts';
import type { ConnectionStatus } from '../../src/db/tables.ts';
import type { IntegrationError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import { createAccountKeys, type ConnectionRef } from '../../src/oauth/accountKeys.ts';
import { createAuthorizations } from '../../src/oauth/authorization.ts';
import { parseMasterKeys } from '../../src/oauth/encryption.ts';
import { createPendingGrants } from '../../src/oauth/pendingGrants.ts';
import type { UserCredentials } from '../../src/oauth/protocol.ts';
import { createRevocations, revocationQueues } from '../../src/oauth/revocations.ts';
import { createSealing } from '../../src/oauth/sealing.ts';
import { createTokenEndpoint } from '../../src/oauth/tokenEndpoint.ts';
import { createTokenRows, type TokenRow } from '../../src/oauth/tokenRows.ts';
import { createCatalog } from '../../src/providers/catalog.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';
import { slack } from '../../src/providers/slack.ts';
import type { OpenTestDatabase } from '../support/databases.ts';
import { masterKey } from '../support/sealedAccounts.ts';

interface Answer {
  status?: number;
  body?: object;
  headers?: Record<string, string>;
  afterMs?: number;
  /** Cuts the line instead. */
  cut?: boolean;
}

export async function openGrants(open: OpenTestDatabase, timeoutMs = 2_000) {
  const database = await open();
  let shifted = 0;
  const clock = { ...systemClock, now: () => Date.now() + shifted };
  let logged = '';
  const log = createLog('trace', { write: (line) => void (logged += line) });

  const requests: { path: string; body: string; at: number }[] = [];
  let answers: Answer[] = [{}];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      requests.push({ path: request.url!, body, at: performance.now() });
      const {
        status = 200,
        body: answer = {},
        ...rest
      } = answers.length > 1 ? answers.shift()! : answers[0]!;
      if (rest.cut) return request.socket.destroy();
      setTimeout(
        () =>
          response
            .writeHead(status, { 'content-type': 'application/json', ...rest.headers })
            .end(JSON.stringify(answer)),
        rest.afterMs,
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const facts = { ...quickbooks.oauth, revocation: 'rfc7009' } as const;
  const kinds = {
    company: { ...facts, revokes: 'externalAccount' },
    single: { ...facts, revokes: 'authorization' },
    workspace: slack.oauth,
    silent: { ...facts, revocation: 'none' },
    strict: { ...facts, replay: 'strict' },
    away: facts,
    'bare-client': facts,
    anonymous: { ...facts, clientAuthentication: 'none' },
  } as const;
  const without = new Set(['bare-client', 'anonymous']);
  const catalog = createCatalog(
    Object.entries(kinds).map(([id, oauth]) => ({
      provider: { ...quickbooks, id, oauth },
      endpoints: {
        ...{
          authorizeUrl: `${url}/authorize`,
          tokenUrl: id === 'away' ? 'http://127.0.0.1:1/' : `${url}/token`,
          revokeUrl: `${url}/revoke`,
        },
        apiUrl: url,
      },
      ...(!without.has(id) && { credentials: { clientId: 'client', clientSecret: 'hidden' } }),
      webhookSecrets: [],
      limits: [],
    })),
  );
  const priorities: string[] = [];
  const caller = createCaller({
    clock,
    requestTimeoutMs: timeoutMs,
    retry: { baseMs: 1, capMs: 1, attempts: 1 },
    queue: { perBucket: 100, total: 100 },
    onFinished: ({ priority }) => priorities.push(priority),
  });
  const jobs = await openJobs(database, {
    queues: revocationQueues,
    onError: (err) => log.warn({ err }, 'job'),
  });
  const keysBy = (setting: string) => createAccountKeys(parseMasterKeys(setting), clock);
  const keys = keysBy(masterKey('k1', 1));
  const deps = { db: database.db, forAccount: database.forAccount, catalog, clock, log };
  const endpoint = createTokenEndpoint({ caller, catalog, clock, timeoutMs });
  const revocationsBy = (setting: string) =>
    createRevocations({ ...deps, jobs, endpoint, keys: keysBy(setting) });
  const revocations = revocationsBy(masterKey('k1', 1));

  const grants = {
    ...{ ...deps, keys, keysBy, requests, priorities, endpoint, revocations, revocationsBy },
    rows: createTokenRows({ ...deps, keys }),
    authorizations: createAuthorizations({
      ...deps,
      keys,
      endpoint,
      addresses: { publicUrl: 'https://us.example' },
    }),
    pendingGrants: createPendingGrants({ ...deps, keys, revocations }),
    logs: () => logged,
    now: () => new Date(clock.now()),
    /** Moves the time of day. */
    shift: (ms: number) => void (shifted += ms),
    /** The next answers in this order; the last one stays. */
    answer: (...next: Answer[]) => void (answers = next),
    async connection(
      accountId: string,
      integrationId: string,
      externalId: string | null,
      status: ConnectionStatus = 'ACTIVE',
    ): Promise<ConnectionRef> {
      const ref = { accountId, id: clock.randomUUID(), integrationId };
      await database.db
        .insertInto('connections')
        .values({
          ...{ account_id: accountId, id: ref.id, integration_id: integrationId },
          ...{ status, external_id: externalId },
        })
        .execute();
      return ref;
    },
    /** A connection with a token of an hour, whose refresh is due. */
    async connected(
      integrationId = 'single',
      more: Partial<TokenRow> = {},
      by: { accountId?: string; refreshToken?: string | null; credentials?: UserCredentials } = {},
    ): Promise<ConnectionRef> {
      const { accountId = 'a', refreshToken = 'old-refresh', credentials = null } = by;
      const ref = await grants.connection(accountId, integrationId, 'ext');
      const now = grants.now();
      const set = {
        ...{ accessToken: 'old-access', issuedAt: now, expiresAt: new Date(now.getTime() + 3_600_000) },
        ...{
          scopes: ['one'],
          externalId: null,
          externalUserId: null,
          refreshExpiresAt: null,
          hardExpiresAt: null,
        },
        ...(refreshToken !== null && { refreshToken }),
      };
      const values = await createSealing({ keys, clock, log }).values(database.db, ref, set, {
        ...{ external_id: 'ext', external_user_id: null, generation: 4, refresh_token_encrypted: null },
        ...{ hard_expires_at: null, refresh_token_expires_at: null, credentials_encrypted: credentials },
      });
      const { refresh_problem = null, ...columns } = more;
      await database.db
        .insertInto('oauth_tokens')
        .values({
          ...{ ...values, refresh_due_at: now, ...columns },
          refresh_problem: refresh_problem && JSON.stringify(refresh_problem),
        })
        .execute();
      return ref;
    },
    async close() {
      await jobs.stop();
      await caller.close();
      server.closeAllConnections();
      server.close();
      await database.close();
    },
  };
  return grants;
}

/** What a token endpoint says to a good refresh. */
export const renewed = {
  body: { access_token: 'new-access', refresh_token: 'new-refresh', token_type: 'bearer', expires_in: 3_600 },
};

/** What a promise rejects with, which it has to. */
export const failureOf = (promise: Promise<unknown>): Promise<IntegrationError> =>
  promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as IntegrationError,
  );

export type Grants = Awaited<ReturnType<typeof openGrants>>;
