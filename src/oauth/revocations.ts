import type { Kysely, Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import { untilDone, type Jobs } from '../db/jobs.ts';
import type { Tables } from '../db/tables.ts';
import { fail, IntegrationError } from '../errors.ts';
import type { Log } from '../log.ts';
import { sealedPlace, type AccountKeys, type ConnectionRef } from './accountKeys.ts';
import { UnsealError } from './encryption.ts';
import type { TokenEndpoint } from './tokenEndpoint.ts';

/**
 * Tokens that we no longer use but the provider still honours. Each waits, sealed, in `token_revocations` until the
 * provider has acknowledged; a job tries again for weeks where the first try fails. Revoking twice is harmless.
 */
export interface Revocations {
  /** Returns the row's id. The background job that backs up the first try commits with it. */
  keep(trx: Transaction<Tables>, ref: ConnectionRef, token: string): Promise<string>;
  /** Tries now, for `patienceMs` at most. PENDING means that the job goes on trying. */
  attempt(accountId: string, id: string, patienceMs: number): Promise<'REVOKED' | 'PENDING'>;
  isPending(ref: ConnectionRef): Promise<boolean>;
  /** Starts working off what earlier tries left. */
  work(): Promise<void>;
}

const queue = 'token-revocation';
export const revocationQueues = { [queue]: untilDone };
/** Longer than the immediate try may take. */
const firstRetryMs = 10_000;

export function createRevocations(deps: {
  db: Kysely<Tables>;
  jobs: Jobs;
  keys: AccountKeys;
  endpoint: TokenEndpoint;
  clock: Clock;
  log: Log;
}): Revocations {
  const { db, jobs, keys, endpoint, clock, log } = deps;

  const revoke = async (accountId: string, id: string, deadlineAtMs?: number): Promise<void> => {
    const row = await db
      .selectFrom('token_revocations')
      .selectAll()
      .where('account_id', '=', accountId)
      .where('id', '=', id)
      .executeTakeFirst();
    if (!row) return;
    const ref = { accountId, id: row.connection_id, integrationId: row.integration_id };
    try {
      const open = await keys.opener(db, accountId);
      await endpoint.revoke(row.integration_id, open(place(ref), row.token_encrypted), deadlineAtMs);
    } catch (error) {
      if (!(error instanceof UnsealError)) throw error;
      if (error.code === 'KEY_UNAVAILABLE') fail('NOT_CONFIGURED', error.message, new Date(clock.now()));
      log.error(
        { connectionId: ref.id, reason: error.code },
        'a token that does not open cannot be revoked: given up',
      );
    }
    await db
      .deleteFrom('token_revocations')
      .where('account_id', '=', accountId)
      .where('id', '=', id)
      .execute();
  };

  return {
    async keep(trx, ref, token) {
      const id = clock.randomUUID();
      const seal = await keys.sealer(trx, ref.accountId);
      await trx
        .insertInto('token_revocations')
        .values({
          account_id: ref.accountId,
          id,
          integration_id: ref.integrationId,
          connection_id: ref.id,
          token_encrypted: seal(place(ref), token),
        })
        .execute();
      await jobs.send(
        trx,
        queue,
        { accountId: ref.accountId, id },
        { startAfter: new Date(clock.now() + firstRetryMs) },
      );
      return id;
    },

    async attempt(accountId, id, patienceMs) {
      try {
        await revoke(accountId, id, clock.now() + patienceMs);
        return 'REVOKED';
      } catch (error) {
        if (!(error instanceof IntegrationError)) throw error;
        log.warn(
          { revocationId: id, problem: error.problem },
          'the provider has not revoked yet; trying again later',
        );
        return 'PENDING';
      }
    },

    async isPending(ref) {
      const row = await db
        .selectFrom('token_revocations')
        .select('id')
        .where('account_id', '=', ref.accountId)
        .where('connection_id', '=', ref.id)
        .executeTakeFirst();
      return row !== undefined;
    },

    work: () =>
      jobs.work<{ accountId: string; id: string }>(queue, { concurrency: 4 }, ({ accountId, id }) =>
        revoke(accountId, id),
      ),
  };
}

const place = (ref: ConnectionRef) => sealedPlace(ref, 'token_revocations', 'token_encrypted');
