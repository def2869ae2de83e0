import type { Kysely, Transaction } from 'kysely';
import type { Priority } from '../calls/caller.ts';
import type { Clock } from '../clock.ts';
import { toStored } from '../db/problems.ts';
import type { Tables } from '../db/tables.ts';
import { untilStored } from '../db/untilStored.ts';
import { fail, IntegrationError, problem, type IntegrationProblem } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Catalog } from '../providers/catalog.ts';
import type { ConnectionRef } from './accountKeys.ts';
import type { TokenSet, UserCredentials } from './protocol.ts';
import type { Revocations } from './revocations.ts';
import type { TokenEndpoint } from './tokenEndpoint.ts';
import type { AccessToken, Lease, TokenRow, TokenRows } from './tokenRows.ts';
import { SecretLost, type Sealing } from './sealing.ts';

/**
 * One refresh, by whoever holds the lease, in this order: note in the row that a request may be under way; ask; store
 * the new pair over the old one, with its event, in one transaction; the lease ends with it. What can go wrong between
 * two of these steps, and what then becomes of the connection, is told in docs/token-lifecycle.md.
 */
export interface Refresher {
  /** Throws `LeaseLost` where somebody else has the lease by now, `IntegrationError` where there is no new token. */
  refresh(lease: Lease, asked: Asked): Promise<AccessToken>;
  /** The provider may have acted on a refresh with this very token, and takes none twice. */
  isHeld(row: TokenRow): boolean;
  /** By the time that this is over, a request has been answered or given up. */
  readonly leaseMs: number;
}

/** Why a token is to be renewed. */
export interface Asked {
  priority: Priority;
  /** The person who wants it; absent where it is merely due. */
  userId?: string | null | undefined;
}

/** What becomes of the connection, written in the transaction that ends the lease. */
export interface RefreshNews {
  /** Returns false when the connection is not ACTIVE any longer: its token is then left alone. */
  renewed(
    trx: Transaction<Tables>,
    connection: ConnectionRef & { generation: number },
    news: { scopes: string[]; recovered: boolean; asked: Asked },
  ): Promise<boolean>;
  /** Only when it is news: the first failure, or one of another kind. */
  troubled(
    trx: Transaction<Tables>,
    connection: ConnectionRef & { generation: number },
    cause: IntegrationProblem,
  ): Promise<void>;
  /** The provider has ended the grant. */
  refused(
    trx: Transaction<Tables>,
    connection: ConnectionRef & { generation: number },
    cause: IntegrationProblem,
  ): Promise<void>;
}

interface Secrets {
  refreshToken: string | null;
  credentials: UserCredentials | null;
}

export class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
}

/** Beyond one request: so that a lease which cannot be renewed for a while still outlasts it. */
const leaseMarginMs = 10_000;
/** After a failed refresh; doubles with each more. The token that is there stays in use while it is valid. */
const firstCoolDownMs = 5_000;
const longestCoolDownMs = 300_000;
/** The answer may hold the only good token: the database may be away for that long. */
const storeWithinMs = 300_000;

export function createRefresher(deps: {
  forAccount: (accountId: string) => Kysely<Tables>;
  rows: TokenRows;
  sealing: Sealing;
  endpoint: TokenEndpoint;
  revocations: Revocations;
  catalog: Catalog;
  news: RefreshNews;
  clock: Clock;
  log: Log;
  /** Called at named points, for tests that end the process there. */
  reached?: ((point: RefreshPoint) => void | Promise<void>) | undefined;
}): Refresher {
  const { forAccount, rows, sealing, endpoint, revocations, catalog, news, clock, log } = deps;
  const reached = deps.reached ?? (() => {});
  const now = () => new Date(clock.now());
  const isForgiving = (integrationId: string) =>
    catalog.find(integrationId)?.provider.oauth.replay === 'grace';
  const leaseMs = endpoint.timeoutMs + leaseMarginMs;
  const named = ({ ref, row }: Lease) => ({ ...ref, generation: row.generation });

  /** Renews the lease until stopped. Where the database is away, the next look may find it back. */
  const hold = (lease: Lease): (() => void) => {
    const over = new AbortController();
    const renew = async () => {
      for (let pauseMs = leaseMs / 4; ;) {
        await clock.sleep(pauseMs, over.signal);
        const kept = await rows.extend(lease, leaseMs).catch(() => 'unknown' as const);
        if (kept === false) return;
        pauseMs = kept === 'unknown' ? 1_000 : leaseMs / 4;
      }
    };
    renew().catch(() => undefined);
    return () => over.abort();
  };

  /** Throws where a stored secret does not open. */
  const secretsOf = ({ ref, row, open }: Lease): Secrets => {
    const unsealed = (column: 'refresh_token_encrypted' | 'credentials_encrypted') =>
      row[column] && sealing.unseal(ref, open, column, row[column]);
    const credentials = unsealed('credentials_encrypted');
    return {
      refreshToken: unsealed('refresh_token_encrypted'),
      credentials: credentials === null ? null : (JSON.parse(credentials) as UserCredentials),
    };
  };

  /** One request; on a refused refresh one more, with the user name and password where they are kept. */
  const ask = async (
    lease: Lease,
    { refreshToken, credentials }: Secrets,
    asked: Asked,
  ): Promise<TokenSet> => {
    const { integrationId } = lease.ref;
    const options = {
      priority: asked.priority,
      beforeSend: async () => {
        await reached('before journal');
        if (!(await rows.journal(lease, leaseMs))) throw new LeaseLost();
        await reached('journalled');
      },
    };
    try {
      if (refreshToken !== null)
        return await endpoint.refresh(integrationId, refreshToken, lease.row.scopes, options);
    } catch (error) {
      if (credentials === null || !isRefused(error)) throw error;
    }
    if (credentials === null)
      return fail('REAUTHORIZATION_REQUIRED', 'The provider gave no refresh token: connect again.', now());
    try {
      return await endpoint.password(integrationId, credentials, options);
    } catch (error) {
      if (!(error instanceof IntegrationError) || error.code !== 'AUTHORIZATION_DENIED') throw error;
      const message = 'The provider no longer accepts the user name and password: connect again.';
      const { occurredAt, providerCode, requestId } = error.problem;
      throw new IntegrationError(
        problem('REAUTHORIZATION_REQUIRED', message, occurredAt, {
          ...(providerCode !== undefined && { providerCode }),
          ...(requestId !== undefined && { requestId }),
        }),
      );
    }
  };

  /** Asks again at once where that can only help, and once at most. */
  const obtain = async (lease: Lease, asked: Asked): Promise<TokenSet> => {
    const { ref, row } = lease;
    const secrets = secretsOf(lease);
    // The holder before died with a request that may have been under way.
    const inherited = row.attempt_at !== null && row.attempt_outcome === null;
    for (let tries = 1; ; tries++) {
      try {
        const set = await ask(lease, secrets, asked);
        await reached('answered');
        return set;
      } catch (error) {
        if (isRefused(error)) {
          // Whoever took the lease from us while we were held up may have rotated the token.
          const present = await rows.find(ref);
          if (!present) return fail('NOT_CONNECTED', 'The connection was ended meanwhile.', now());
          if (present.row.version !== row.version) throw new LeaseLost();
          if (inherited && tries === 1) continue;
        } else if (mayHaveRotated(error) && isForgiving(ref.integrationId) && tries === 1) continue;
        throw error;
      }
    }
  };

  const commit = (lease: Lease, set: TokenSet, asked: Asked) =>
    forAccount(lease.ref.accountId)
      .transaction()
      .execute(async (trx): Promise<AccessToken | 'disconnected' | 'moved'> => {
        const { ref, row } = lease;
        const values = await sealing.values(trx, ref, set, row);
        const version = await rows.replace(trx, lease, values);
        if (version !== undefined) {
          const recovered = row.refresh_failures > 0;
          const active = await news.renewed(trx, named(lease), { scopes: set.scopes, recovered, asked });
          if (!active)
            await trx
              .updateTable('oauth_tokens')
              .set({ refresh_due_at: null })
              .where('account_id', '=', ref.accountId)
              .where('connection_id', '=', ref.id)
              .execute();
          await reached('before commit');
          return { value: set.accessToken, version };
        }
        const connection = await trx
          .selectFrom('connections')
          .select(['status', 'external_id'])
          .where('account_id', '=', ref.accountId)
          .where('id', '=', ref.id)
          .executeTakeFirst();
        if (connection?.status !== 'DISCONNECTED') return 'moved';
        // Ended while the provider answered: nobody will use what it gave.
        await revocations.keep(trx, ref, set, connection.external_id);
        return 'disconnected';
      });

  /** A token that the provider has rotated exists nowhere else: it is stored as soon as the database is there again. */
  const store = async (lease: Lease, set: TokenSet, asked: Asked): Promise<AccessToken> => {
    const stored = await untilStored(clock, () => commit(lease, set, asked), {
      withinMs: storeWithinMs,
      isFinal: (error) => error instanceof IntegrationError,
      onRetry: (error) =>
        log.warn({ connectionId: lease.ref.id, err: error }, 'a new token is not stored yet: trying again'),
    });
    if (stored === 'moved') throw new LeaseLost();
    if (stored === 'disconnected') return fail('NOT_CONNECTED', 'The connection was ended meanwhile.', now());
    await reached('committed');
    return stored;
  };

  /** Writes down how it failed, for everybody who waits for it. */
  const settle = async (lease: Lease, error: unknown): Promise<void> => {
    const { ref, row } = lease;
    const own = forAccount(ref.accountId);
    // No fault of the provider's: the next one may try at once, and finds what the journal says.
    if (!(error instanceof IntegrationError) || error instanceof SecretLost)
      return void (await rows.release(own, lease, {}));
    await own.transaction().execute(async (trx) => {
      const { problem: cause } = error;
      const refused = cause.code === 'REAUTHORIZATION_REQUIRED';
      const uncertain = mayHaveRotated(error);
      const released = await rows.release(trx, lease, {
        ...(!uncertain && { attempt_at: null }),
        attempt_outcome: uncertain ? 'UNCERTAIN' : null,
        refresh_failures: row.refresh_failures + 1,
        refresh_problem: toStored(cause),
        refresh_retry_at: refused ? null : new Date(retryAt(lease, cause, uncertain)),
        ...(refused && { refresh_due_at: null }),
      });
      if (!released) return;
      if (refused) await news.refused(trx, named(lease), cause);
      else if (row.refresh_problem?.code !== cause.code) await news.troubled(trx, named(lease), cause);
    });
  };

  const retryAt = ({ ref, row }: Lease, cause: IntegrationProblem, uncertain: boolean): number => {
    const doubled = firstCoolDownMs * 2 ** Math.min(row.refresh_failures, 10);
    const coolDownMs = Math.min(doubled, longestCoolDownMs) * (0.75 + 0.25 * clock.random());
    const at = clock.now() + Math.max(coolDownMs, (cause.retryAfterSeconds ?? 0) * 1_000);
    // Where using it again may end the grant, the token that is still good comes first.
    return uncertain && !isForgiving(ref.integrationId) ? Math.max(at, row.expires_at?.getTime() ?? 0) : at;
  };

  return {
    leaseMs,
    isHeld: (row) => row.attempt_outcome === 'UNCERTAIN' && !isForgiving(row.provider),
    async refresh(lease, asked) {
      const stop = hold(lease);
      try {
        await reached('leased');
        return await store(lease, await obtain(lease, asked), asked);
      } catch (error) {
        if (!(error instanceof LeaseLost))
          await settle(lease, error).catch((trouble: unknown) =>
            log.warn(
              { connectionId: lease.ref.id, err: trouble },
              'a failed refresh could not be written down',
            ),
          );
        throw error;
      } finally {
        stop();
      }
    },
  };
}

export type RefreshPoint =
  'leased' | 'before journal' | 'journalled' | 'answered' | 'before commit' | 'committed';

const isRefused = (error: unknown): boolean =>
  error instanceof IntegrationError && error.code === 'REAUTHORIZATION_REQUIRED';

/** Sent, and what came back does not say what became of it: the token may have been replaced. */
function mayHaveRotated(error: unknown): boolean {
  if (!(error instanceof IntegrationError) || !error.sent) return false;
  const { status, code } = error;
  if (status === undefined) return true;
  return code === 'PROVIDER_ERROR' && (status < 300 || status === 502 || status === 504);
}
