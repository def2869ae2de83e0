import type { Kysely, Selectable, Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import { toStored } from '../db/problems.ts';
import type { Tables } from '../db/tables.ts';
import { untilStored } from '../db/untilStored.ts';
import { fail, IntegrationError, problem, problemOf, type IntegrationProblem } from '../errors.ts';
import type { ConnectionRef } from '../oauth/accountKeys.ts';
import type { Authorizations, CallbackOutcome } from '../oauth/authorization.ts';
import { confirmWithinMs, type PendingGrants } from '../oauth/pendingGrants.ts';
import type { Revocations } from '../oauth/revocations.ts';
import type { Tokens, TokenSet, UserCredentials } from '../oauth/tokens.ts';
import type { Catalog } from '../providers/catalog.ts';
import type { ConnectionApi } from './api.ts';
import { findConnections, listConnections, type Connection } from './connection.ts';
import { checkedRequest, type ConnectRequest } from './connectRequest.ts';
import { change, followResources, lockConnection } from './states.ts';
import type { WebhookSecrets } from './webhookSecrets.ts';

export type { ConnectRequest };

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
  /** What the person's session is to confirm with; only where connections are confirmed. */
  completionCode?: string;
}

/** The way to an ACTIVE connection: the request, and what the provider's redirect makes of it. */
export interface Connecting {
  connect(request: ConnectRequest): Promise<ConnectAnswer>;
  /** The provider's redirect. `integrationId` must exist. */
  completeAuthorization(integrationId: string, query: URLSearchParams): Promise<CallbackAnswer>;
  /** Makes the connection ACTIVE that a callback has left to be confirmed. */
  completeConnect(
    by: { accountId: string; userId: string | null },
    completionCode: string,
  ): Promise<{ connection: Connection | null; problem: IntegrationProblem | null }>;
}

/** What makes a connection ACTIVE: the provider's redirect, or the person's session after it. */
export type Completion = 'callback' | 'confirm';

type Granted = CallbackOutcome & { kind: 'granted' };
interface Proven {
  set: TokenSet;
  externalId: string;
  credentials?: UserCredentials;
}
const noLink = { authorizationUrl: null, expiresAt: null };
/** The company read that proves a fresh grant: longer than a page load's patience, shorter than the person's. */
const identifyWithinMs = 20_000;
const keepWithinMs = 20_000;

export interface ConnectingDeps {
  forAccount: (accountId: string) => Kysely<Tables>;
  catalog: Catalog;
  authorizations: Authorizations;
  tokens: Tokens;
  revocations: Revocations;
  pendingGrants: PendingGrants;
  completion: Completion;
  webhookSecrets: WebhookSecrets;
  api: ConnectionApi;
  addresses: { publicUrl: string; returnToOrigins: readonly string[] };
  /** The first proof comes within it. */
  probeIntervalMs: number;
  clock: Clock;
}

export function createConnecting(deps: ConnectingDeps): Connecting {
  const { forAccount, catalog, authorizations, tokens, revocations, webhookSecrets } = deps;
  const { pendingGrants, api, addresses, clock, probeIntervalMs } = deps;
  const confirms = deps.completion === 'confirm';
  const now = () => new Date(clock.now());

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
    if (authorization && current) {
      await revocations.resume(authorization);
      await forAccount(authorization.accountId)
        .transaction()
        .execute(async (trx) => {
          const row = await lockConnection(trx, authorization.accountId, authorization.id);
          if (row?.status !== 'PENDING' && row?.status !== 'NEEDS_REAUTHORIZATION') return;
          // A newer link is under way: what became of the older one is no news of the connection.
          if (row.authorize_by?.getTime() !== authorization.expiresAt.getTime()) return;
          await change(
            trx,
            clock,
            { ...authorization, generation: row.generation },
            { problem: toStored(cause), authorize_by: null },
            { change: 'AUTHORIZATION_FAILED', userId: authorization.userId },
          );
        });
    }
    return {
      returnTo: authorization?.returnTo ?? null,
      connectionId: authorization?.id ?? null,
      problem: cause,
    };
  };

  /** The connection's new life: tokens, status, sync statuses and event, in the transaction of its caller. */
  const activate = async (
    trx: Transaction<Tables>,
    ref: ConnectionRef & { userId: string | null },
    row: Selectable<Tables['connections']>,
    { set, externalId, credentials }: Proven,
  ) => {
    const generation = row.generation + 1;
    await authorizations.cancel(trx, ref);
    await revocations.supersede(trx, ref, externalId);
    await tokens.store(trx, ref, set, { externalId, generation, ...(credentials && { credentials }) });
    await change(
      trx,
      clock,
      { ...ref, generation: row.generation },
      {
        status: 'ACTIVE',
        external_id: externalId,
        scopes: set.scopes,
        problem: null,
        generation,
        created_by: ref.userId,
        authorize_by: null,
        connected_at: now(),
        checked_at: now(),
        probe_at: new Date(clock.now() + probeIntervalMs * (0.5 + clock.random() / 2)),
      },
      { change: 'CONNECTED', userId: ref.userId },
    );
    await followResources(trx, ref, catalog.find(ref.integrationId)!.provider);
  };

  /**
   * Stores a proven grant, or keeps it until it is confirmed. A connection that another link has made ACTIVE meanwhile
   * takes the newer grant: revoking either could end both.
   */
  const take = async (
    trx: Transaction<Tables>,
    { authorization, tokens: set }: Pick<Granted, 'authorization' | 'tokens'>,
    externalId: string,
    isConfirmed: boolean,
  ): Promise<{ cause: IntegrationProblem } | { cause: null; code?: string }> => {
    const { accountId, id } = authorization;
    const row = await lockConnection(trx, accountId, id);
    if (!row || row.status === 'DISCONNECTED') {
      await revocations.keep(trx, authorization, set, externalId);
      const message = 'The connection was ended while it was being authorized.';
      return { cause: problem('NOT_CONNECTED', message, now()) };
    }
    if (isOther(row, externalId)) return { cause: mismatch(now()) };
    if (isConfirmed) {
      await activate(trx, authorization, row, { set, externalId });
      return { cause: null };
    }
    const { code, completeBy } = await pendingGrants.keep(trx, authorization, { tokens: set, externalId });
    // It is as it was, and so is what is known of it: only that somebody may still complete it.
    if (row.authorize_by)
      await trx
        .updateTable('connections')
        .set({ authorize_by: completeBy })
        .where('account_id', '=', accountId)
        .where('id', '=', id)
        .execute();
    return { cause: null, code };
  };

  /** Nothing is kept where the provider refuses the credentials. */
  const connectWithCredentials = async (request: ConnectRequest): Promise<ConnectAnswer> => {
    const { accountId, userId, integrationId } = request;
    const existing = (await listConnections(forAccount(accountId), clock, accountId)).find(
      (one) => one.integrationId === integrationId && one.status === 'ACTIVE',
    );
    if (existing) return alreadyConnected(existing);
    const { username, password, webhookSecret } = request.credentials as UserCredentials & {
      webhookSecret?: string | null;
    };
    const credentials = { username, password };
    const set = await authorizations.withCredentials(integrationId, credentials);
    const externalId = set.externalId ?? username;
    const { id, cause } = await forAccount(accountId)
      .transaction()
      .execute(async (trx) => {
        const row = await liveConnection(trx, request);
        const ref = { accountId, id: row.id, integrationId, userId };
        if (isOther(row, externalId)) return { id: row.id, cause: mismatch(now()) };
        if (row.status !== 'ACTIVE') await activate(trx, ref, row, { set, externalId, credentials });
        if (webhookSecret) await webhookSecrets.set(trx, ref, webhookSecret);
        return { id: row.id, cause: null };
      });
    const connection = (await findConnections(forAccount(accountId), clock, accountId, [id])).get(id)!;
    return { connection, ...noLink, problem: cause };
  };

  const alreadyConnected = (connection: Connection): ConnectAnswer => ({
    connection,
    ...noLink,
    problem: problem(
      'ALREADY_CONNECTED',
      'The integration is connected. Disconnect first to change it.',
      now(),
    ),
  });

  return {
    async connect(request) {
      const { accountId, userId, integrationId } = request;
      try {
        const wanted = checkedRequest(request, { catalog, addresses, needsReturnTo: confirms }, now());
        if (wanted.provider.auth === 'CREDENTIALS') return await connectWithCredentials(request);
        const begun = await forAccount(accountId)
          .transaction()
          .execute(async (trx) => {
            const row = await liveConnection(trx, request);
            const ref = { accountId, id: row.id, integrationId };
            if (row.status === 'ACTIVE') {
              const present = (await findConnections(trx, clock, accountId, [row.id])).get(row.id)!;
              if (!isCuredByAuthorizing(present)) return { id: row.id };
            }
            const round = await authorizations.begin(trx, ref, { userId, ...wanted });
            await change(
              trx,
              clock,
              { ...ref, generation: row.generation },
              { authorize_by: round.expiresAt, ...(row.status === 'PENDING' && { problem: null }) },
              { change: 'AUTHORIZATION_STARTED', userId },
            );
            return { id: row.id, round };
          });
        const found = await findConnections(forAccount(accountId), clock, accountId, [begun.id]);
        const connection = found.get(begun.id)!;
        return begun.round ? { connection, ...begun.round, problem: null } : alreadyConnected(connection);
      } catch (error) {
        return { connection: null, ...noLink, problem: problemOf(error) };
      }
    },

    async completeAuthorization(integrationId, query) {
      const outcome = await authorizations.complete(integrationId, query, (authorization) =>
        revocations.hold(authorization),
      );
      if (outcome.kind === 'failed') return failedCallback(outcome);
      const { authorization, tokens: granted } = outcome;
      let taken: Awaited<ReturnType<typeof take>>;
      try {
        const ref = { ...authorization, externalId: outcome.externalId ?? granted.externalId };
        const patience = { deadlineAtMs: clock.now() + identifyWithinMs };
        const profile = await api.identify(ref, granted.accessToken, patience);
        const externalId = outcome.externalId ?? granted.externalId ?? profile?.id ?? '';
        // One id for all accounts would mix them up.
        if (profile && externalId === '')
          fail('PROVIDER_ERROR', 'The provider does not say which account this is.', now());
        // The code is spent: should the database be away just now, the grant waits for it.
        if (confirms) {
          // Begun before the setting was changed.
          if (authorization.returnTo === null)
            fail('AUTHORIZATION_EXPIRED', 'Please start the connection again.', now());
          await revocations.hold(authorization, confirmWithinMs);
        }
        const store = () =>
          forAccount(authorization.accountId)
            .transaction()
            .execute((trx) => take(trx, outcome, externalId, !confirms));
        taken = await untilStored(clock, store, {
          withinMs: keepWithinMs,
          isFinal: (error) => error instanceof IntegrationError,
          onRetry: () => undefined,
        });
      } catch (error) {
        taken = { cause: ofCallback(problemOf(error)) };
      }
      if (taken.cause)
        return failedCallback({ kind: 'failed', problem: taken.cause, authorization, current: true });
      const { returnTo, id: connectionId } = authorization;
      const completionCode = taken.code;
      return {
        returnTo,
        connectionId,
        problem: null,
        ...(completionCode !== undefined && { completionCode }),
      };
    },

    async completeConnect(by, completionCode) {
      const db = forAccount(by.accountId);
      const end = await db.transaction().execute(async (trx) => {
        const grant = await pendingGrants.redeem(trx, by, completionCode);
        if (!grant) return undefined;
        const { cause } = await take(trx, grant, grant.externalId, true);
        return { id: grant.authorization.id, cause };
      });
      if (!end) {
        const message = 'This code is not good for you, or not any more: connect again.';
        return { connection: null, problem: problem('NOT_FOUND', message, now()) };
      }
      const found = await findConnections(db, clock, by.accountId, [end.id]);
      return { connection: found.get(end.id) ?? null, problem: end.cause };
    },
  };
}

const isOther = (row: Selectable<Tables['connections']>, externalId: string) =>
  row.external_id !== null && row.external_id !== externalId;

const mismatch = (at: Date) =>
  problem(
    'ACCOUNT_MISMATCH',
    'A different company was chosen than the one this connection belongs to. Disconnect first to change it.',
    at,
  );

/** It works, and a person can see to it that it goes on doing so. */
const isCuredByAuthorizing = ({ problem: cause }: Connection) =>
  cause?.code === 'REAUTHORIZATION_REQUIRED' || cause?.code === 'SCOPES_INSUFFICIENT';

/** A token that is refused when it is new does not belong to the company that the redirect named. */
function ofCallback(cause: IntegrationProblem): IntegrationProblem {
  if (cause.code !== 'REAUTHORIZATION_REQUIRED' && cause.code !== 'UNAUTHENTICATED') return cause;
  const message = 'The authorization does not reach the company that was chosen.';
  return problem('FORBIDDEN', message, cause.occurredAt, {
    ...(cause.providerCode !== undefined && { providerCode: cause.providerCode }),
    ...(cause.requestId !== undefined && { requestId: cause.requestId }),
  });
}
