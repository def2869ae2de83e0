import type { Kysely } from 'kysely';
import { createLeasedWork } from '../db/leasedWork.ts';
import type { Listener } from '../db/notifications.ts';
import type { Tables } from '../db/tables.ts';
import { claimRounds, renewEveryMs, renewRounds, type ClaimedRound } from './rounds.ts';
import type { PageTurningDeps } from './turnPage.ts';
import { createRoundWork } from './workRound.ts';

/**
 * Polling: the first reading of everything, the safety net behind webhooks, and what somebody asks for. A round is read
 * page by page. What a page brought, how far the round has come, the status and the events commit together, under a
 * lease; the cursor moves with the last page alone. It is the provider's time of the first page, less an overlap:
 * what changes during the round, or shows late, is read by the next.
 *
 * When the next round is due: see `schedule.ts`.
 */
export interface Polling {
  start(): void;
  /** Gives the rounds under way up to their next page. */
  stop(): Promise<void>;
  /** For the channel `roundChannel`. */
  due: Listener;
}

/** Rounds at one time in this process. */
const concurrency = 16;
const lookEveryMs = 1_000;
const troubles = {
  claim: 'due syncs cannot be looked for',
  renew: 'the leases of syncs cannot be renewed',
  work: 'a sync was interrupted',
};

export function createPolling(
  deps: PageTurningDeps & {
    /** Past all walls: looks for what is due in all accounts. */
    db: Kysely<Tables>;
  },
): Polling {
  const { db, clock, log } = deps;
  const stopping = new AbortController();
  const workRound = createRoundWork(deps);
  const rounds = createLeasedWork<ClaimedRound>(clock, {
    ...{ concurrency, lookEveryMs, renewEveryMs },
    claim: (count) => claimRounds(db, count, new Date(clock.now())),
    renew: (leases) => renewRounds(db, leases),
    work: (round) => workRound(round, stopping.signal),
    onError: (error, during, round) =>
      log.warn({ err: error, ...(round && { connectionId: round.connectionId }) }, troubles[during]),
  });
  return {
    due: rounds.news,
    start: () => rounds.start(),
    async stop() {
      stopping.abort(new Error('stopping'));
      await rounds.stop();
    },
  };
}
