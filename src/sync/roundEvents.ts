import type { Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Connection } from '../connections/connection.ts';
import { toStoredProblem } from '../db/problems.ts';
import type { Tables } from '../db/tables.ts';
import type { IntegrationProblem } from '../errors.ts';
import { appendEvents, type SyncEventKind } from '../events/events.ts';
import type { Round } from './rounds.ts';

/** Whole rounds are shown while they run; a poll is over before anybody looks. */
export const isShown = (round: Round) => round.since === null || round.source === 'USER';

/** What a status shows while the round is under way. */
export const stateOf = (round: Round) => (round.since === null ? 'BACKFILLING' : 'RUNNING');

/** Appends events of a round to its account's log, within the transaction that makes them true. */
export async function tellOfRound(
  trx: Transaction<Tables>,
  connection: Connection,
  resource: string,
  round: Round,
  kinds: readonly SyncEventKind[],
  clock: Clock,
  cause: IntegrationProblem | null = null,
): Promise<void> {
  const { id: connectionId, integrationId, generation } = connection;
  await appendEvents(
    trx,
    connection.accountId,
    kinds.map((kind) => ({
      ...{ connectionId, integrationId, generation, resource, kind },
      ...{ source: round.source, change: null, userId: null },
      problem: cause && JSON.stringify(toStoredProblem(cause)),
    })),
    clock,
  );
}
