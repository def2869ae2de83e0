import type { Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import { fromStored } from '../db/problems.ts';
import type { Tables } from '../db/tables.ts';
import type { Wakeups } from '../db/wakeups.ts';
import { within } from '../deadline.ts';
import { fail, IntegrationError, problem, type IntegrationProblem, type ProblemCode } from '../errors.ts';
import type { Log } from '../log.ts';
import type { AccountKeys, ConnectionRef } from './accountKeys.ts';
import { UnsealError } from './encryption.ts';
import type { TokenSet, UserCredentials } from './protocol.ts';
import { LeaseLost, type Asked, type Refresher, type RefreshNews } from './refresh.ts';
import type { Revocations } from './revocations.ts';
import { placeOf, type Sealing } from './sealing.ts';
import {
  ended,
  type AccessToken,
  type Lease,
  type StoredToken,
  type TokenRow,
  type TokenRows,
} from './tokenRows.ts';

export type { AccessToken, RefreshNews, TokenSet, UserCredentials };

/**
 * The tokens of connections. Refreshing is single flight: callers of one connection in this process share it, and
 * between processes the lease on the row decides who asks the provider; the others wait for what it finds.
 *
 * Throws `IntegrationError`: NOT_CONNECTED without a row, REAUTHORIZATION_REQUIRED when the provider has refused the
 * grant or the row does not open, otherwise what the token endpoint's trouble is.
 */
export interface Tokens {
  /** Seals and stores what an authorization gave, in the transaction that makes the connection ACTIVE. */
  store(trx: Transaction<Tables>, ref: ConnectionRef, tokens: TokenSet, grant: Grant): Promise<void>;
  /** Valid now; refreshed first when 80 % of its life is over. Costs no statement of its own: one for each tick. */
  accessToken(ref: ConnectionRef): Promise<AccessToken>;
  /** Renews whatever the age, even while an earlier failure cools down; joins a refresh under way. */
  renew(ref: ConnectionRef, userId: string | null): Promise<void>;
  /** A token newer than the one that the provider has refused: another's, or else by a refresh. */
  replace(ref: ConnectionRef, refused: AccessToken): Promise<AccessToken>;
  /** The token as it is stored now: it may have been replaced since a call took its own. */
  present(ref: ConnectionRef): Promise<AccessToken>;
  /** Refreshes connections whose time has come, at most so many; answers how many there were. */
  refreshDue(most: number): Promise<number>;
  /** Deletes the row. Returns a sealed copy's id in `token_revocations`, or undefined when nothing is to be revoked. */
  erase(trx: Transaction<Tables>, ref: ConnectionRef): Promise<string | undefined>;
  /** Begins no more refreshes, sends away who waits for another process's, and waits for those under way. */
  close(): Promise<void>;
}

export interface Grant {
  externalId: string;
  generation: number;
  /** Kept, sealed, to authorize again without a person: only where the provider has no other way. */
  credentials?: UserCredentials;
}

/** INTERNAL_SERVER_ERROR is a bug, or our database. */
export type RefreshOutcome = ProblemCode | 'OK' | 'INTERNAL_SERVER_ERROR';

/** How long a call whose token is still valid waits for its refresh. */
const patienceMs = 1_000;
/** Between looks at a lease that another process holds; its end is told besides. */
const firstLookMs = 50;
const longestLookMs = 1_000;

export function createTokens(deps: {
  rows: TokenRows;
  keys: AccountKeys;
  sealing: Sealing;
  refresher: Refresher;
  revocations: Revocations;
  wakeups: Wakeups;
  clock: Clock;
  log: Log;
  /** Once for each refresh, when it is over; not for what found the token renewed already. Must not throw. */
  onRefreshed?: (integrationId: string, outcome: RefreshOutcome) => void;
}): Tokens {
  const { rows, keys, sealing, refresher, revocations, wakeups, clock, log, onRefreshed } = deps;
  const flights = new Map<string, Promise<AccessToken>>();
  let closing = false;
  const flightKey = (ref: ConnectionRef) => JSON.stringify([ref.accountId, ref.id]);
  const now = () => new Date(clock.now());

  const load = async (ref: ConnectionRef) =>
    (await rows.find(ref)) ?? fail('NOT_CONNECTED', 'The connection has no tokens.', now());
  const opened = (ref: ConnectionRef, { row, open }: StoredToken): AccessToken => ({
    value: sealing.unseal(ref, open, 'access_token_encrypted', row.access_token_encrypted),
    version: row.version,
  });

  const isPast = (at: Date | null) => at !== null && at.getTime() <= clock.now();
  const isCooling = (row: TokenRow) => row.refresh_retry_at !== null && !isPast(row.refresh_retry_at);
  /** How the last try went, for those who did not make it. */
  const failureOf = (row: TokenRow): IntegrationError => {
    const cause = fromStored(row.refresh_problem);
    if (!cause) return new IntegrationError(problem('PROVIDER_ERROR', 'The last refresh failed.', now()));
    const leftMs = (row.refresh_retry_at?.getTime() ?? 0) - clock.now();
    return new IntegrationError({
      ...cause,
      ...(leftMs > 0 && { retryAfterSeconds: Math.ceil(leftMs / 1_000) }),
    });
  };

  const report = async (lease: Lease, asked: Asked): Promise<AccessToken> => {
    const { integrationId } = lease.ref;
    try {
      const token = await refresher.refresh(lease, asked);
      onRefreshed?.(integrationId, 'OK');
      return token;
    } catch (error) {
      if (error instanceof IntegrationError) onRefreshed?.(integrationId, error.code);
      else if (!(error instanceof LeaseLost)) onRefreshed?.(integrationId, 'INTERNAL_SERVER_ERROR');
      throw error;
    } finally {
      wakeups.wake(lease.ref.id);
    }
  };

  /** Takes the lease and refreshes, or waits for whoever has it. Ends with a token newer than `than`. */
  const newer = async (ref: ConnectionRef, than: number | undefined, asked: Asked): Promise<AccessToken> => {
    let current = await load(ref);
    const { version: known, refresh_failures: failures } = current.row;
    let lookMs = firstLookMs;
    for (;;) {
      const { row } = current;
      if (closing) fail('QUEUE_FULL', 'The service is shutting down.', now());
      if (row.version > (than ?? known)) return opened(ref, current);
      if (isRefused(row) || row.refresh_failures > failures) throw failureOf(row);
      if (isCooling(row) && (asked.userId === undefined || refresher.isHeld(row))) throw failureOf(row);
      const lease = await rows.take(ref, row.version, refresher.leaseMs);
      if (lease)
        try {
          return await report(lease, asked);
        } catch (error) {
          if (!(error instanceof LeaseLost)) throw error;
        }
      else await wakeups.wait(ref.id, lookMs * (0.75 + clock.random() / 2));
      lookMs = Math.min(lookMs * 1.5, longestLookMs);
      current = await load(ref);
    }
  };

  const share = (ref: ConnectionRef, start: () => Promise<AccessToken>): Promise<AccessToken> => {
    const key = flightKey(ref);
    const running = flights.get(key);
    if (running) return running;
    const flight = start().finally(() => flights.delete(key));
    flights.set(key, flight);
    return flight;
  };

  return {
    async store(trx, ref, set, { externalId, generation, credentials = null }) {
      const old = {
        ...{
          external_id: externalId,
          external_user_id: null,
          generation,
          credentials_encrypted: credentials,
        },
        ...{ refresh_token_encrypted: null, hard_expires_at: null, refresh_token_expires_at: null },
      };
      const values = { ...(await sealing.values(trx, ref, set, old)), ...ended };
      await trx
        .insertInto('oauth_tokens')
        .values(values)
        .onConflict((conflict) =>
          conflict
            .columns(['account_id', 'provider'])
            .doUpdateSet((eb) => ({ ...values, version: eb('oauth_tokens.version', '+', 1) })),
        )
        .execute();
    },

    async accessToken(ref) {
      const found =
        (await rows.find(ref)) ?? fail('REAUTHORIZATION_REQUIRED', 'The connection has no tokens.', now());
      const { row } = found;
      if (isRefused(row)) throw failureOf(row);
      const isValid = !isPast(row.expires_at);
      const isDue = isPast(row.refresh_due_at) || !isValid;
      if (!isDue) return opened(ref, found);
      if (isCooling(row)) {
        if (isValid) return opened(ref, found);
        throw failureOf(row);
      }
      try {
        const flight = share(ref, () => newer(ref, row.version, { priority: 'interactive' }));
        // A valid token does not wait for a slow token endpoint; the flight goes on, and the next call finds its end.
        return await (isValid ? within(flight, patienceMs, clock) : flight);
      } catch (error) {
        if (isValid && error instanceof IntegrationError && !isFinal(error)) return opened(ref, found);
        throw error;
      }
    },

    async renew(ref, userId) {
      const { row } = await load(ref);
      if (!isRenewable(row)) return;
      await share(ref, () => newer(ref, undefined, { priority: 'interactive', userId }));
    },

    async replace(ref, refused) {
      for (;;) {
        const token = await share(ref, () => newer(ref, refused.version, { priority: 'interactive' }));
        // A flight that was under way already may end with the very token that was refused.
        if (token.version > refused.version) return token;
      }
    },

    present: async (ref) => opened(ref, await load(ref)),

    async refreshDue(most) {
      const leases = await rows.takeDue(most, refresher.leaseMs);
      const each = leases.map(async (lease) => {
        // A caller of this process may wait for this very lease: it goes on by itself.
        const flight = report(lease, { priority: 'poll' });
        const key = flightKey(lease.ref);
        if (!flights.has(key)) {
          flights.set(key, flight);
          flight.catch(() => {}).finally(() => flights.get(key) === flight && flights.delete(key));
        }
        await flight;
      });
      for (const [i, end] of (await Promise.allSettled(each)).entries())
        if (
          end.status === 'rejected' &&
          !(end.reason instanceof IntegrationError) &&
          !(end.reason instanceof LeaseLost)
        )
          log.warn({ connectionId: leases[i]!.ref.id, err: end.reason as Error }, 'a due refresh failed');
      return leases.length;
    },

    async erase(trx, ref) {
      const row = await trx
        .deleteFrom('oauth_tokens')
        .where('account_id', '=', ref.accountId)
        .where('provider', '=', ref.integrationId)
        .where('connection_id', '=', ref.id)
        .returningAll()
        .executeTakeFirst();
      if (!row) return undefined;
      try {
        const open = await keys.opener(trx, ref.accountId);
        const accessToken = open(placeOf(ref, 'access_token_encrypted'), row.access_token_encrypted);
        const sealed = row.refresh_token_encrypted;
        const refreshToken = sealed && open(placeOf(ref, 'refresh_token_encrypted'), sealed);
        const tokens = { accessToken, ...(refreshToken !== null && { refreshToken }) };
        return await revocations.keep(trx, ref, tokens, row.external_id);
      } catch (error) {
        if (!(error instanceof UnsealError)) throw error;
        log.warn(
          { connectionId: ref.id, reason: error.code },
          'a token that does not open cannot be revoked',
        );
        return undefined;
      }
    },

    async close() {
      closing = true;
      wakeups.wakeAll();
      await Promise.allSettled(flights.values());
    },
  };
}

const isRenewable = (row: TokenRow) =>
  row.refresh_token_encrypted !== null || row.credentials_encrypted !== null;

/** The provider has refused this very token: asking once more would change nothing. */
const isRefused = (row: TokenRow) => row.refresh_problem?.code === 'REAUTHORIZATION_REQUIRED';

/** Whether the stored token is of no further use. Anything else leaves it good until it runs out. */
function isFinal({ problem: { code } }: { problem: IntegrationProblem }): boolean {
  return code === 'REAUTHORIZATION_REQUIRED' || code === 'NOT_CONNECTED';
}
