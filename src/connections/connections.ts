import { within } from '../deadline.ts';
import { problem, problemOf, type IntegrationProblem } from '../errors.ts';
import type { ConnectionRef } from '../oauth/accountKeys.ts';
import { createConnecting, type Connecting, type ConnectingDeps } from './connect.ts';
import { findConnections, listConnections, type Connection } from './connection.ts';
import { change, lockConnection, type Health } from './states.ts';
import { isSecret, secretForm } from './webhookSecrets.ts';

/** Who asks: a person of an account, or a service without a name. */
export interface Viewer {
  accountId: string;
  userId: string | null;
}

export interface MutationAnswer {
  connection: Connection | null;
  problem: IntegrationProblem | null;
}

export type RevocationOutcome = 'REVOKED' | 'PENDING' | 'NOT_SUPPORTED';

/**
 * Connects, refreshes, disconnects and finds the connections of an account. What a person can do something about is
 * returned as a problem; another account's connection and an unknown one are both NOT_FOUND.
 */
export interface Connections extends Connecting {
  find(accountId: string, ids: readonly string[]): Promise<Map<string, Connection>>;
  list(accountId: string): Promise<Connection[]>;
  refresh(by: Viewer, id: string): Promise<MutationAnswer>;
  setWebhookSecret(accountId: string, id: string, secret: string): Promise<MutationAnswer>;
  disconnect(by: Viewer, id: string): Promise<MutationAnswer & { revocation: RevocationOutcome }>;
}

/** What a person waits for the provider to acknowledge a revocation before it goes on in the background. */
const revokeWithinMs = 5_000;

export function createConnections(
  deps: ConnectingDeps & { health: Health; interactiveDeadlineMs: number },
): Connections {
  const { forAccount, tokens, revocations, health, api, clock, interactiveDeadlineMs } = deps;
  const now = () => new Date(clock.now());

  const find = async (accountId: string, id: string) =>
    (await findConnections(forAccount(accountId), clock, accountId, [id])).get(id.toLowerCase()) ?? null;

  const refreshNow = async (connection: Connection, userId: string | null) => {
    if (connection.status === 'NEEDS_REAUTHORIZATION')
      return problem('REAUTHORIZATION_REQUIRED', 'The connection has to be authorized again.', now());
    if (connection.status !== 'ACTIVE')
      return problem('NOT_CONNECTED', 'The connection is not active.', now());
    const deadlineAtMs = clock.now() + interactiveDeadlineMs;
    try {
      await within(tokens.renew(connection, userId), interactiveDeadlineMs, clock);
    } catch (error) {
      const cause = problemOf(error);
      if (cause.code === 'REAUTHORIZATION_REQUIRED') await health.demote(connection, cause);
      return cause;
    }
    try {
      await api.profile(connection, { deadlineAtMs });
      return null;
    } catch (error) {
      const cause = problemOf(error);
      // The token is renewed; that its API is in trouble is another matter, unless the grant is gone.
      return cause.code === 'REAUTHORIZATION_REQUIRED' ? cause : null;
    }
  };

  const end = (connection: ConnectionRef, userId: string | null) =>
    forAccount(connection.accountId)
      .transaction()
      .execute(async (trx): Promise<string | undefined> => {
        const row = await lockConnection(trx, connection.accountId, connection.id);
        if (!row || row.status === 'DISCONNECTED') return undefined;
        const revocation = await tokens.erase(trx, connection);
        await deps.authorizations.cancel(trx, connection);
        await deps.webhookSecrets.erase(trx, connection);
        await change(
          trx,
          clock,
          { ...connection, generation: row.generation },
          {
            status: 'DISCONNECTED',
            disconnected_at: now(),
            authorize_by: null,
            probe_at: null,
            problem: null,
          },
          { change: 'DISCONNECTED', userId },
        );
        return revocation;
      });

  return {
    ...createConnecting(deps),
    find: (accountId, ids) => findConnections(forAccount(accountId), clock, accountId, ids),
    list: (accountId) => listConnections(forAccount(accountId), clock, accountId),

    async refresh({ accountId, userId }, id) {
      const connection = await find(accountId, id);
      if (!connection) return { connection, problem: notFound(now()) };
      const cause = await refreshNow(connection, userId);
      return { connection: await find(accountId, id), problem: cause };
    },

    async setWebhookSecret(accountId, id, secret) {
      const connection = await find(accountId, id);
      if (!connection) return { connection, problem: notFound(now()) };
      const provider = deps.catalog.find(connection.integrationId)?.provider;
      const refused = (code: 'INVALID_INPUT' | 'NOT_CONNECTED', message: string) => ({
        connection,
        problem: problem(code, message, now()),
      });
      if (provider?.webhook?.secretOf !== 'connection')
        return refused(
          'INVALID_INPUT',
          `${provider?.name ?? connection.integrationId} signs the webhooks of every connection with one secret, which the operator sets.`,
        );
      if (connection.status === 'DISCONNECTED') return refused('NOT_CONNECTED', 'The connection has ended.');
      if (!isSecret(secret)) return refused('INVALID_INPUT', `secret: ${secretForm}`);
      await forAccount(accountId)
        .transaction()
        .execute((trx) => deps.webhookSecrets.set(trx, connection, secret));
      return { connection, problem: null };
    },

    async disconnect({ accountId, userId }, id) {
      const before = await find(accountId, id);
      if (!before) return { connection: null, problem: notFound(now()), revocation: 'NOT_SUPPORTED' };
      const revocationId = await end(before, userId);
      let revocation: RevocationOutcome;
      if (revocationId !== undefined)
        revocation = await revocations.attempt(accountId, revocationId, revokeWithinMs);
      else if (await revocations.isPending(before)) revocation = 'PENDING';
      else if (canRevoke(before) && before.status === 'DISCONNECTED' && before.connectedAt)
        revocation = 'REVOKED';
      else revocation = 'NOT_SUPPORTED';
      return { connection: await find(accountId, id), problem: null, revocation };
    },
  };

  function canRevoke({ integrationId }: Connection): boolean {
    return deps.catalog.find(integrationId)?.provider.oauth.revocation !== 'none';
  }
}

const notFound = (at: Date) => problem('NOT_FOUND', 'You have no connection with this id.', at);
