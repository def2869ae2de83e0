import DataLoader from 'dataloader';
import type { Insertable, Kysely, Selectable, Transaction } from 'kysely';
import { sql } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Tables } from '../db/tables.ts';
import { within } from '../deadline.ts';
import { fail, IntegrationError, type IntegrationProblem, type ProblemCode } from '../errors.ts';
import type { Log } from '../log.ts';
import { sealedPlace, type AccountKeys, type ConnectionRef, type Open } from './accountKeys.ts';
import { UnsealError } from './encryption.ts';
import { refreshDueAt, type TokenSet } from './protocol.ts';
import type { Revocations } from './revocations.ts';
import type { TokenEndpoint } from './tokenEndpoint.ts';

/** A plain token, for the call that needs it and no longer. `version` tells whether it has been replaced since. */
export interface AccessToken {
  value: string;
  version: number;
}

/**
 * The tokens of connections. Refreshing is single flight: callers of one connection in this process share it, and
 * the write compares the row's version, so that a late answer never overwrites a newer token.
 *
 * Throws `IntegrationError`: NOT_CONNECTED without a row, REAUTHORIZATION_REQUIRED when the provider has refused the
 * grant or the row does not open, otherwise what the token endpoint's trouble is. It never changes a connection's
 * status: that is `connections/`' to do.
 */
export interface Tokens {
  /** Seals and stores what an authorization gave, in the transaction that makes the connection ACTIVE. */
  store(trx: Transaction<Tables>, ref: ConnectionRef, tokens: TokenSet, externalId: string): Promise<void>;
  /** Valid now; refreshed first when 80 % of its life is over. Costs no statement of its own: one for each tick. */
  accessToken(ref: ConnectionRef): Promise<AccessToken>;
  /** Renews whatever the age, unless the stored token is newer than the `rejected` version. */
  refresh(ref: ConnectionRef, rejected?: number): Promise<AccessToken>;
  /** Deletes the row. Returns a sealed copy's id in `token_revocations`, or undefined when nothing is to be revoked. */
  erase(trx: Transaction<Tables>, ref: ConnectionRef): Promise<string | undefined>;
}

type TokenRow = Selectable<Tables['oauth_tokens']>;
/** After a failed refresh, calls use the old token (while it is valid) this long before the next try. */
const coolDownMs = 30_000;
/** How long a call whose token is still valid waits for its refresh. */
const patienceMs = 1_000;

/** INTERNAL_SERVER_ERROR is a bug, or our database. */
export type RefreshOutcome = ProblemCode | 'OK' | 'INTERNAL_SERVER_ERROR';

export function createTokens(deps: {
  db: Kysely<Tables>;
  keys: AccountKeys;
  endpoint: TokenEndpoint;
  revocations: Revocations;
  clock: Clock;
  log: Log;
  /** Once for each refresh, when it is over; not for what found the token renewed already. Must not throw. */
  onRefreshed?: (integrationId: string, outcome: RefreshOutcome) => void;
}): Tokens {
  const { db, keys, endpoint, revocations, clock, log, onRefreshed } = deps;
  const flights = new Map<string, Promise<AccessToken>>();
  const failures = new Map<string, { until: number; problem: IntegrationProblem }>();
  const flightKey = (ref: ConnectionRef) => JSON.stringify([ref.accountId, ref.id]);

  /** Collects the asks of one tick into one statement for each account; keeps nothing. */
  const rows = new DataLoader<ConnectionRef, { row: TokenRow; open: Open } | undefined>(
    async (refs) => {
      const found = new Map<string, { row: TokenRow; open: Open }>();
      await Promise.all(
        [...Map.groupBy(refs, (ref) => ref.accountId)].map(async ([accountId, own]) => {
          const [list, open] = await Promise.all([
            db
              .selectFrom('oauth_tokens')
              .selectAll()
              .where('account_id', '=', accountId)
              .where('connection_id', 'in', [...new Set(own.map((ref) => ref.id))])
              .execute(),
            keys.opener(db, accountId),
          ]);
          for (const row of list) found.set(JSON.stringify([accountId, row.connection_id]), { row, open });
        }),
      );
      return refs.map((ref) => found.get(flightKey(ref)));
    },
    { cache: false, maxBatchSize: 1_000 },
  );

  const load = async (ref: ConnectionRef, missing: 'NOT_CONNECTED' | 'REAUTHORIZATION_REQUIRED') =>
    (await rows.load(ref)) ?? fail(missing, 'The connection has no tokens.', new Date(clock.now()));

  const unseal = (ref: ConnectionRef, open: Open, column: SealedColumn, sealed: Buffer): string => {
    try {
      return open(placeOf(ref, column), sealed);
    } catch (error) {
      if (!(error instanceof UnsealError)) throw error;
      log.error(
        { connectionId: ref.id, column, reason: error.code, err: error },
        'a stored secret does not open',
      );
      // A missing key is the operator's to restore: the connection then works again without anybody's consent.
      const missing = error.code === 'KEY_UNAVAILABLE';
      return fail(
        'REAUTHORIZATION_REQUIRED',
        missing
          ? 'The key of the stored authorization is missing from ENCRYPTION_KEYS: restore it, or connect again.'
          : 'The stored authorization can no longer be read: connect again.',
        new Date(clock.now()),
        missing ? { actor: 'OPERATOR' } : {},
      );
    }
  };

  const opened = (ref: ConnectionRef, { row, open }: { row: TokenRow; open: Open }): AccessToken => ({
    value: unseal(ref, open, 'access_token_encrypted', row.access_token_encrypted),
    version: row.version,
  });

  const store = async (
    trx: Kysely<Tables>,
    ref: ConnectionRef,
    set: TokenSet,
    externalId: string | null,
  ): Promise<Insertable<Tables['oauth_tokens']>> => {
    const seal = await keys.sealer(trx, ref.accountId);
    const ends = [set.refreshExpiresAt, set.hardExpiresAt].filter((end) => end !== null);
    return {
      account_id: ref.accountId,
      provider: ref.integrationId,
      connection_id: ref.id,
      access_token_encrypted: seal(placeOf(ref, 'access_token_encrypted'), set.accessToken),
      ...(set.refreshToken !== undefined && {
        refresh_token_encrypted: seal(placeOf(ref, 'refresh_token_encrypted'), set.refreshToken),
      }),
      issued_at: set.issuedAt,
      expires_at: set.expiresAt,
      refresh_due_at: refreshDueAt(set.issuedAt, set.expiresAt, clock.random()),
      refresh_token_expires_at: ends.length > 0 ? new Date(Math.min(...ends.map(Number))) : null,
      scopes: set.scopes,
      external_id: externalId,
      updated_at: new Date(clock.now()),
    };
  };

  const renew = async (ref: ConnectionRef, rejected: number | undefined): Promise<AccessToken> => {
    let current = await load(ref, 'NOT_CONNECTED');
    if (rejected !== undefined && current.row.version > rejected) return opened(ref, current);
    for (let attempt = 1; ; attempt++) {
      const { row, open } = current;
      if (row.refresh_token_encrypted === null)
        fail(
          'REAUTHORIZATION_REQUIRED',
          'The provider gave no refresh token: connect again.',
          new Date(clock.now()),
        );
      const refreshToken = unseal(ref, open, 'refresh_token_encrypted', row.refresh_token_encrypted);
      try {
        const set = await endpoint.refresh(ref.integrationId, refreshToken, row.scopes);
        const renewed = await replace(ref, row, set);
        onRefreshed?.(ref.integrationId, 'OK');
        return renewed;
      } catch (error) {
        const refused =
          error instanceof IntegrationError && error.problem.code === 'REAUTHORIZATION_REQUIRED';
        if (!refused || attempt > 1) throw error;
        // Another process may have rotated the token between our read and the provider's answer.
        current = await load(ref, 'NOT_CONNECTED');
        if (current.row.version === row.version) throw error;
      }
    }
  };

  const replace = async (ref: ConnectionRef, old: TokenRow, set: TokenSet): Promise<AccessToken> => {
    const values = await store(db, ref, set, old.external_id);
    const written = await db
      .updateTable('oauth_tokens')
      .set({ ...values, version: old.version + 1 })
      .where('account_id', '=', ref.accountId)
      .where('provider', '=', ref.integrationId)
      .where('connection_id', '=', ref.id)
      .where('version', '=', old.version)
      .returning('version')
      .executeTakeFirst();
    return written
      ? { value: set.accessToken, version: written.version }
      : opened(ref, await load(ref, 'NOT_CONNECTED'));
  };

  const fly = (ref: ConnectionRef, rejected: number | undefined): Promise<AccessToken> => {
    const key = flightKey(ref);
    const running = flights.get(key);
    if (running) return running;
    const flight = renew(ref, rejected)
      .then(
        (token) => {
          failures.delete(key);
          return token;
        },
        (error: unknown) => {
          const expected = error instanceof IntegrationError;
          if (expected && !isFinal(error))
            failures.set(key, { until: clock.monotonic() + coolDownMs, problem: error.problem });
          onRefreshed?.(ref.integrationId, expected ? error.problem.code : 'INTERNAL_SERVER_ERROR');
          throw error;
        },
      )
      .finally(() => flights.delete(key));
    flights.set(key, flight);
    return flight;
  };

  return {
    async store(trx, ref, set, externalId) {
      const values = await store(trx, ref, set, externalId);
      await trx
        .insertInto('oauth_tokens')
        .values(values)
        .onConflict((conflict) =>
          conflict.columns(['account_id', 'provider']).doUpdateSet({
            refresh_token_encrypted: null,
            ...values,
            version: sql`oauth_tokens.version + 1`,
          }),
        )
        .execute();
    },

    async accessToken(ref) {
      const found = await load(ref, 'REAUTHORIZATION_REQUIRED');
      const { row } = found;
      const now = clock.now();
      const due = row.refresh_due_at !== null && row.refresh_due_at.getTime() <= now;
      if (!due) return opened(ref, found);
      const valid = row.expires_at === null || row.expires_at.getTime() > now;
      const failed = failures.get(flightKey(ref));
      if (failed && failed.until > clock.monotonic()) {
        if (valid) return opened(ref, found);
        throw new IntegrationError(failed.problem);
      }
      try {
        const flight = fly(ref, row.version);
        // A valid token does not wait for a slow token endpoint; the flight goes on, and the next call finds its end.
        return await (valid ? within(flight, patienceMs, clock) : flight);
      } catch (error) {
        if (valid && error instanceof IntegrationError && !isFinal(error)) return opened(ref, found);
        throw error;
      }
    },

    refresh: fly,

    async erase(trx, ref) {
      const row = await trx
        .deleteFrom('oauth_tokens')
        .where('account_id', '=', ref.accountId)
        .where('provider', '=', ref.integrationId)
        .where('connection_id', '=', ref.id)
        .returningAll()
        .executeTakeFirst();
      failures.delete(flightKey(ref));
      if (!row) return undefined;
      try {
        const open = await keys.opener(trx, ref.accountId);
        const token = row.refresh_token_encrypted
          ? open(placeOf(ref, 'refresh_token_encrypted'), row.refresh_token_encrypted)
          : open(placeOf(ref, 'access_token_encrypted'), row.access_token_encrypted);
        return await revocations.keep(trx, ref, token);
      } catch (error) {
        if (!(error instanceof UnsealError)) throw error;
        log.warn(
          { connectionId: ref.id, reason: error.code },
          'a token that does not open cannot be revoked',
        );
        return undefined;
      }
    },
  };
}

/** Whether the stored token is of no further use. Anything else leaves it good until it runs out. */
function isFinal({ problem: { code } }: IntegrationError): boolean {
  return code === 'REAUTHORIZATION_REQUIRED' || code === 'NOT_CONNECTED';
}

type SealedColumn = 'access_token_encrypted' | 'refresh_token_encrypted';

const placeOf = (ref: ConnectionRef, column: SealedColumn) => sealedPlace(ref, 'oauth_tokens', column);
