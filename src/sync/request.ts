import { sql, type Kysely } from 'kysely';
import type { Clock } from '../clock.ts';
import type { ConnectionApi } from '../connections/api.ts';
import type { Connection } from '../connections/connection.ts';
import type { Tables } from '../db/tables.ts';
import { problem, type IntegrationProblem } from '../errors.ts';
import { appendEvents } from '../events/events.ts';
import type { Catalog } from '../providers/catalog.ts';
import { requestRounds } from './rounds.ts';

/**
 * A person, or a program, asks that a connection be synced now: before all that is due, at interactive priority. What is
 * asked for while a round runs is done after it; asked for twice, it is done once. Answers why it was not done.
 */
export type RequestSync = (
  connection: Connection,
  wanted: { resource?: string | null | undefined; full?: boolean | null | undefined; userId: string | null },
) => Promise<IntegrationProblem | null>;

export function createRequestSync(deps: {
  forAccount: (accountId: string) => Kysely<Tables>;
  catalog: Catalog;
  api: ConnectionApi;
  clock: Clock;
}): RequestSync {
  const { forAccount, catalog, api, clock } = deps;
  return async (connection, { resource, full, userId }) => {
    const now = new Date(clock.now());
    const configured = catalog.find(connection.integrationId);
    if (!configured) return problem('NOT_CONFIGURED', 'The integration is not set up here.', now);
    const { name, resources, listed = resources } = configured.provider;
    if (resource != null && !resources.includes(resource))
      return problem('INVALID_INPUT', `resource: ${name} has ${resources.join(', ')}.`, now);
    if (resource != null && !listed.includes(resource))
      return problem('INVALID_INPUT', `resource: ${name} does not list its ${resource} records.`, now);
    if (listed.length === 0) return problem('INVALID_INPUT', `${name} lists none of its records.`, now);
    if (connection.status === 'NEEDS_REAUTHORIZATION')
      return problem('REAUTHORIZATION_REQUIRED', `${name} has to be authorized again.`, now);
    if (connection.status !== 'ACTIVE') return problem('NOT_CONNECTED', 'The connection is not active.', now);
    const [budget] = await api.rateLimits([connection]);
    const pause = api.pauseProblem(connection, budget);
    if (pause) return pause;

    const { accountId, id, integrationId, generation } = connection;
    const wanted = resource == null ? listed : [resource];
    const state = full ? 'BACKFILLING' : 'RUNNING';
    await forAccount(accountId)
      .transaction()
      .execute(async (trx) => {
        await requestRounds(trx, connection, wanted, full ?? false);
        // What is under way joins; only what begins is an event.
        const { rows } = await sql<{ resource: string }>`
          update sync_statuses set state = ${state}
          where account_id = ${accountId} and connection_id = ${id} and resource in (
            select resource from sync_statuses
            where account_id = ${accountId} and connection_id = ${id} and resource = any(${wanted}::text[])
              and state not in ('RUNNING', 'BACKFILLING')
            order by resource for no key update)
          returning resource`.execute(trx);
        await appendEvents(
          trx,
          accountId,
          rows.map((row) => ({
            ...{
              connectionId: id,
              integrationId,
              generation,
              resource: row.resource,
              kind: 'SYNC_STARTED' as const,
            },
            ...{ source: 'USER' as const, change: null, userId, problem: null },
          })),
          clock,
        );
      });
    return null;
  };
}
