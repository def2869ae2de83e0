import type { Kysely, Selectable, Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Tables } from '../db/tables.ts';
import { fail, problem, problemOf, type IntegrationProblem } from '../errors.ts';
import type { Authorization, Authorizations, CallbackOutcome } from '../oauth/authorization.ts';
import type { Revocations } from '../oauth/revocations.ts';
import type { Tokens } from '../oauth/tokens.ts';
import type { Catalog } from '../providers/catalog.ts';
import type { ConnectionApi } from './api.ts';
import { findConnections, toStored, type Connection } from './connection.ts';
import { allowedReturnTo } from './returnTo.ts';
import { change, lockConnection } from './states.ts';

export interface ConnectRequest {
  accountId: string;
  userId: string | null;
  integrationId: string;
  returnTo?: string | null | undefined;
  scopes?: readonly string[] | null | undefined;
  withCredentials: boolean;
}

export interface ConnectAnswer {
  connection: Connection | null;
  authorizationUrl: string | null;
  expiresAt: Date | null;
  problem: IntegrationProblem | null;
}

export interface CallbackAnswer {
  /** Already on the allow-list; null where none was given or the state is unknown. */
  returnTo: string | null;
  connectionId: string | null;
  problem: IntegrationProblem | null;
}

/** The way to an ACTIVE connection: the request, and what the provider's redirect makes of it. */
export interface Connecting {
  connect(request: ConnectRequest): Promise<ConnectAnswer>;
  /** The provider's redirect. `integrationId` must exist. */
  completeAuthorization(integrationId: string, query: URLSearchParams): Promise<CallbackAnswer>;
}

type Granted = CallbackOutcome & { kind: 'granted' };
/** The company read that proves a fresh grant: longer than a page load's patience, shorter than the person's. */
const identifyWithinMs = 20_000;

export interface ConnectingDeps {
  db: Kysely<Tables>;
  catalog: Catalog;
  authorizations: Authorizations;
  tokens: Tokens;
  revocations: Revocations;
  api: ConnectionApi;
  addresses: { publicUrl: string; returnToOrigins: readonly string[] };
  clock: Clock;
}

export function createConnecting(deps: ConnectingDeps): Connecting {
  const { db, catalog, authorizations, tokens, revocations, api, addresses, clock } = deps;
  const now = () => new Date(clock.now());

  /** Checks a connect before anything is written; returns the scopes to ask for. */
  const checked = (request: ConnectRequest) => {
    const configured = catalog.find(request.integrationId);
    if (!configured) {
      const known = catalog.list().map(({ provider }) => provider.id);
      return fail('NOT_FOUND', `There is no such integration; there are: ${known.join(', ')}.`, now());
    }
    const { provider, credentials } = configured;
    if (request.withCredentials)
      fail('INVALID_INPUT', `${provider.name} is authorized in the browser: leave credentials out.`, now());
    if (!credentials)
      fail(
        'NOT_CONFIGURED',
        `${provider.name} is not set up here: its client id and secret are missing.`,
        now(),
      );
    const scopes = [...new Set([...provider.oauth.scopes, ...(request.scopes ?? [])])];
    if (scopes.length > 100) fail('INVALID_INPUT', 'scopes: at most 100 can be asked for.', now());
    const malformed = scopes.find((scope) => !/^[\x21\x23-\x5b\x5d-\x7e]{1,255}$/.test(scope));
    if (malformed !== undefined)
      fail('INVALID_INPUT', `scopes: ${JSON.stringify(malformed)} is not a scope.`, now());
    const { publicUrl, returnToOrigins } = addresses;
    const returnTo =
      request.returnTo == null ? null : allowedReturnTo(request.returnTo, publicUrl, returnToOrigins);
    if (returnTo === undefined)
      return fail('INVALID_INPUT', 'returnTo: its origin is not on the list (RETURN_TO_ORIGINS).', now());
    return { scopes, returnTo };
  };

  /** The account's live connection to the integration, made when there is none; locked. */
  const liveConnection = async (
    trx: Transaction<Tables>,
    request: ConnectRequest,
    rounds = 5,
  ): Promise<Selectable<Tables['connections']>> => {
    const { accountId, integrationId } = request;
    await trx
      .insertInto('connections')
      .values({
        account_id: accountId,
        id: clock.randomUUID(),
        integration_id: integrationId,
        status: 'PENDING',
        created_at: now(),
      })
      .onConflict((conflict) =>
        conflict.columns(['account_id', 'integration_id']).where('status', '!=', 'DISCONNECTED').doNothing(),
      )
      .execute();
    const live = await trx
      .selectFrom('connections')
      .selectAll()
      .where('account_id', '=', accountId)
      .where('integration_id', '=', integrationId)
      .where('status', '!=', 'DISCONNECTED')
      .forUpdate()
      .executeTakeFirst();
    if (live) return live;
    // A disconnect held the row that stood in the insert's way, and has ended it since.
    if (rounds === 0) throw new Error('no live connection could be made');
    return liveConnection(trx, request, rounds - 1);
  };

  const failedCallback = async (outcome: CallbackOutcome & { kind: 'failed' }): Promise<CallbackAnswer> => {
    const { authorization, problem: cause, current } = outcome;
    if (authorization && current)
      await db.transaction().execute(async (trx) => {
        const row = await lockConnection(trx, authorization.accountId, authorization.id);
        if (row?.status !== 'PENDING' && row?.status !== 'NEEDS_REAUTHORIZATION') return;
        const ref = { ...authorization, generation: row.generation };
        await change(trx, clock, ref, { problem: toStored(cause), authorize_by: null }, 'USER');
      });
    return {
      returnTo: authorization?.returnTo ?? null,
      connectionId: authorization?.id ?? null,
      problem: cause,
    };
  };

  const activate = (
    trx: Transaction<Tables>,
    authorization: Authorization,
    row: { generation: number },
    granted: Granted,
    externalId: string,
  ) =>
    change(
      trx,
      clock,
      { ...authorization, generation: row.generation },
      {
        status: 'ACTIVE',
        external_id: externalId,
        scopes: granted.tokens.scopes,
        problem: null,
        generation: row.generation + 1,
        created_by: authorization.userId,
        authorize_by: null,
        connected_at: now(),
        checked_at: now(),
      },
      'USER',
    );

  /**
   * Stores a proven grant. One transaction: the tokens, the status, the sync statuses and the event. A connection that
   * another link has made ACTIVE meanwhile takes the newer grant: revoking either could end both.
   */
  const keepGrant = (granted: Granted, externalId: string) =>
    db.transaction().execute(async (trx): Promise<IntegrationProblem | null> => {
      const { authorization } = granted;
      const row = await lockConnection(trx, authorization.accountId, authorization.id);
      if (!row || row.status === 'DISCONNECTED') {
        await revocations.keep(trx, authorization, granted.tokens.refreshToken ?? granted.tokens.accessToken);
        return problem('NOT_CONNECTED', 'The connection was ended while it was being authorized.', now());
      }
      if (row.external_id !== null && row.external_id !== externalId)
        return problem(
          'ACCOUNT_MISMATCH',
          'A different company was chosen than the one this connection belongs to. Disconnect first to change it.',
          now(),
        );
      await authorizations.cancel(trx, authorization);
      await tokens.store(trx, authorization, granted.tokens, externalId);
      await activate(trx, authorization, row, granted, externalId);
      await trx
        .insertInto('sync_statuses')
        .values(
          catalog.find(authorization.integrationId)!.provider.resources.map((resource) => ({
            account_id: authorization.accountId,
            connection_id: authorization.id,
            resource,
          })),
        )
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      return null;
    });

  return {
    async connect(request) {
      const { accountId, userId, integrationId } = request;
      const nothing = { connection: null, authorizationUrl: null, expiresAt: null };
      let wanted;
      try {
        wanted = checked(request);
      } catch (error) {
        return { ...nothing, problem: problemOf(error) };
      }
      const begun = await db.transaction().execute(async (trx) => {
        const row = await liveConnection(trx, request);
        if (row.status === 'ACTIVE') return { id: row.id };
        const ref = { accountId, id: row.id, integrationId };
        const round = await authorizations.begin(trx, ref, { userId, ...wanted });
        const columns = { authorize_by: round.expiresAt, ...(row.status === 'PENDING' && { problem: null }) };
        await change(trx, clock, { ...ref, generation: row.generation }, columns, 'USER');
        return { id: row.id, round };
      });
      const connection = (await findConnections(db, clock, accountId, [begun.id])).get(begun.id)!;
      if (begun.round) return { connection, ...begun.round, problem: null };
      const cause = problem(
        'ALREADY_CONNECTED',
        'The integration is connected. Disconnect first to change it.',
        now(),
      );
      return { ...nothing, connection, problem: cause };
    },

    async completeAuthorization(integrationId, query) {
      const outcome = await authorizations.complete(integrationId, query);
      if (outcome.kind === 'failed') return failedCallback(outcome);
      const { authorization, tokens: granted } = outcome;
      let cause: IntegrationProblem | null;
      try {
        const ref = { ...authorization, externalId: outcome.externalId };
        const patience = { deadlineAtMs: clock.now() + identifyWithinMs };
        const profile = await api.identify(ref, granted.accessToken, patience);
        cause = await keepGrant(outcome, outcome.externalId ?? profile?.id ?? '');
      } catch (error) {
        cause = ofCallback(problemOf(error));
      }
      if (cause) return failedCallback({ kind: 'failed', problem: cause, authorization, current: true });
      return { returnTo: authorization.returnTo, connectionId: authorization.id, problem: null };
    },
  };
}

/** A token that is refused when it is new does not belong to the company that the redirect named. */
function ofCallback(cause: IntegrationProblem): IntegrationProblem {
  if (cause.code !== 'REAUTHORIZATION_REQUIRED' && cause.code !== 'UNAUTHENTICATED') return cause;
  const message = 'The authorization does not reach the company that was chosen.';
  return problem('FORBIDDEN', message, cause.occurredAt, {
    ...(cause.providerCode !== undefined && { providerCode: cause.providerCode }),
    ...(cause.requestId !== undefined && { requestId: cause.requestId }),
  });
}
