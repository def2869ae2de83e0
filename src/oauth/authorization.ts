import { sql, type Kysely, type Selectable, type Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Tables } from '../db/tables.ts';
import { fail, problem, problemOf, type IntegrationProblem } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Catalog, ConfiguredProvider } from '../providers/catalog.ts';
import { sealedPlace, type AccountKeys, type ConnectionRef } from './accountKeys.ts';
import { UnsealError } from './encryption.ts';
import type { TokenSet, UserCredentials } from './protocol.ts';
import {
  authorizationUrl,
  callbackParameters,
  codeChallenge,
  hashState,
  newCodeVerifier,
  newState,
} from './redirect.ts';
import type { TokenEndpoint } from './tokenEndpoint.ts';

/**
 * The browser's round trip (RFC 6749 §4.1, RFC 9700 §2.1): a one-time `state` that is bound to the account, the
 * integration and the connection, PKCE where the provider takes it, one redirect URI for each provider.
 */
export interface Authorizations {
  /** Replaces an earlier round trip of the connection, whose link then ends as expired. */
  begin(
    trx: Transaction<Tables>,
    ref: ConnectionRef,
    request: { userId: string | null; returnTo: string | null; scopes: readonly string[] },
  ): Promise<{ authorizationUrl: string; expiresAt: Date }>;
  /** The other way: with a user name and password (RFC 6749 §4.3). Throws; AUTHORIZATION_DENIED where they are refused. */
  withCredentials(integrationId: string, credentials: UserCredentials): Promise<TokenSet>;
  /** Forgets round trips that ended more than a day ago, at most so many; answers how many there were. */
  prune(most: number): Promise<number>;
  /**
   * Ends the round trip under way, if there is one: its link is then answered as expired, and what it was granted can
   * no longer be confirmed.
   */
  cancel(trx: Transaction<Tables>, ref: ConnectionRef): Promise<void>;
  /**
   * Judges a callback and exchanges its code. Each state is consumed by the first callback that names it, whatever
   * becomes of it; a failure never throws.
   */
  complete(
    integrationId: string,
    query: URLSearchParams,
    /** Once the state is consumed and the code about to be exchanged. */
    beforeExchange: (authorization: Authorization) => Promise<void>,
  ): Promise<CallbackOutcome>;
}

export type CallbackOutcome =
  | { kind: 'granted'; authorization: Authorization; tokens: TokenSet; externalId: string | null }
  /** `authorization` is what the state named, if it named one that this callback may report on. */
  | { kind: 'failed'; problem: IntegrationProblem; authorization?: Authorization; current: boolean };

export interface Authorization extends ConnectionRef {
  /** Names its row. */
  stateHash: Buffer;
  userId: string | null;
  returnTo: string | null;
  scopes: string[];
  expiresAt: Date;
}

export type AuthorizationRow = Selectable<Tables['oauth_authorizations']>;
const lifetimeMs = 10 * 60_000;
/** Spent round trips are kept a day, so that a late or repeated callback still finds its way back to the product. */
const keptMs = 24 * 60 * 60_000;

export function createAuthorizations(deps: {
  /** A redirect names no account: its state is looked up among all. */
  db: Kysely<Tables>;
  keys: AccountKeys;
  endpoint: TokenEndpoint;
  catalog: Catalog;
  addresses: { publicUrl: string };
  clock: Clock;
  log: Log;
}): Authorizations {
  const { db, keys, endpoint, catalog, addresses, clock, log } = deps;

  const cancel = async (trx: Transaction<Tables>, ref: ConnectionRef): Promise<void> => {
    const now = new Date(clock.now());
    await trx
      .updateTable('oauth_authorizations')
      .set({
        expires_at: sql<Date>`least(expires_at, ${now}::timestamptz)`,
        complete_by: sql<Date>`least(complete_by, ${now}::timestamptz)`,
      })
      .where('account_id', '=', ref.accountId)
      .where('connection_id', '=', ref.id)
      .where((eb) => eb.or([eb('expires_at', '>', now), eb('complete_by', '>', now)]))
      .execute();
  };

  const consume = (integrationId: string, state: string): Promise<AuthorizationRow | undefined> =>
    db
      .updateTable('oauth_authorizations')
      .set({ consumed_at: new Date(clock.now()) })
      .where('state_hash', '=', hashState(state))
      .where('integration_id', '=', integrationId)
      .where('consumed_at', 'is', null)
      .where('expires_at', '>', new Date(clock.now()))
      .returningAll()
      .executeTakeFirst();

  const refused = async (state: string, integrationId: string): Promise<CallbackOutcome> => {
    const now = new Date(clock.now());
    const row = await db
      .selectFrom('oauth_authorizations')
      .selectAll()
      .where('state_hash', '=', hashState(state))
      .executeTakeFirst();
    if (!row)
      return failed(
        problem('INVALID_INPUT', 'This link is not one of ours: start the connection again.', now),
      );
    if (row.integration_id !== integrationId)
      return failed(problem('INVALID_INPUT', 'This link belongs to another integration.', now), row);
    return failed(
      problem(
        'AUTHORIZATION_EXPIRED',
        'This link has expired or was already used: start the connection again.',
        now,
      ),
      row,
    );
  };

  const exchange = async (
    row: AuthorizationRow,
    code: string,
    { provider }: ConfiguredProvider,
  ): Promise<TokenSet> => {
    const ref = refOf(row);
    let codeVerifier: string | undefined;
    if (row.code_verifier_encrypted) {
      try {
        codeVerifier = (await keys.opener(db, row.account_id))(
          verifierPlace(ref),
          row.code_verifier_encrypted,
        );
      } catch (error) {
        if (!(error instanceof UnsealError)) throw error;
        log.error({ connectionId: ref.id, reason: error.code }, 'a code verifier does not open');
        return fail('AUTHORIZATION_EXPIRED', 'Please start the connection again.', new Date(clock.now()));
      }
    }
    const tokens = await endpoint.exchange(row.integration_id, {
      code,
      redirectUri: row.redirect_uri,
      codeVerifier,
      scopes: row.scopes,
    });
    const missing = row.scopes.filter((scope) => !tokens.scopes.includes(scope));
    if (missing.length > 0)
      fail(
        'SCOPES_INSUFFICIENT',
        `${provider.name} granted less than is needed: ${missing.join(', ')} is missing.`,
        new Date(clock.now()),
      );
    return tokens;
  };

  return {
    cancel,
    withCredentials: (integrationId, credentials) => endpoint.password(integrationId, credentials),

    async prune(most) {
      const { numDeletedRows } = await db
        .deleteFrom('oauth_authorizations')
        .where('state_hash', 'in', (eb) =>
          eb
            .selectFrom('oauth_authorizations')
            .select('state_hash')
            .where('expires_at', '<', new Date(clock.now() - keptMs))
            .where('grant_encrypted', 'is', null)
            .limit(most),
        )
        .executeTakeFirst();
      return Number(numDeletedRows);
    },

    async begin(trx, ref, { userId, returnTo, scopes }) {
      const { provider, endpoints, credentials } = catalog.find(ref.integrationId)!;
      const now = clock.now();
      const state = newState(clock);
      const expiresAt = new Date(now + lifetimeMs);
      const redirectUri = `${addresses.publicUrl}/oauth/${ref.integrationId}/callback`;
      const verifier = provider.oauth.pkce === 'S256' ? newCodeVerifier(clock) : undefined;

      await cancel(trx, ref);
      await trx
        .insertInto('oauth_authorizations')
        .values({
          state_hash: hashState(state),
          account_id: ref.accountId,
          user_id: userId,
          integration_id: ref.integrationId,
          connection_id: ref.id,
          redirect_uri: redirectUri,
          return_to: returnTo,
          code_verifier_encrypted: verifier
            ? (await keys.sealer(trx, ref.accountId))(verifierPlace(ref), verifier)
            : null,
          scopes: [...scopes],
          created_at: new Date(now),
          expires_at: expiresAt,
        })
        .execute();
      return {
        authorizationUrl: authorizationUrl(endpoints, provider.oauth, {
          clientId: credentials!.clientId,
          redirectUri,
          scopes,
          state,
          ...(verifier && { codeChallenge: codeChallenge(verifier) }),
        }),
        expiresAt,
      };
    },

    async complete(integrationId, query, beforeExchange) {
      const target = catalog.find(integrationId)!;
      const now = () => new Date(clock.now());
      const parameters = callbackParameters(query, target.provider.oauth);
      if (parameters.state === undefined)
        return failed(problem('INVALID_INPUT', 'The redirect carried no usable state.', now()));
      const row = await consume(integrationId, parameters.state);
      if (!row) return refused(parameters.state, integrationId);
      if (parameters.kind === 'invalid')
        return failed(problem('INVALID_INPUT', parameters.reason, now()), row, true);
      if (parameters.kind === 'error')
        return failed(
          problem(
            parameters.code,
            parameters.code === 'AUTHORIZATION_DENIED'
              ? `The authorization was declined at ${target.provider.name}.`
              : `${target.provider.name} did not authorize the connection.`,
            now(),
            { providerCode: parameters.providerError },
          ),
          row,
          true,
        );
      try {
        await beforeExchange(authorizationOf(row));
        const tokens = await exchange(row, parameters.code, target);
        return {
          kind: 'granted',
          authorization: authorizationOf(row),
          tokens,
          externalId: parameters.externalId,
        };
      } catch (error) {
        return failed(problemOf(error), row, true);
      }
    },
  };
}

/** `current`: the failure concerns the connection's present round trip, not an old link. */
function failed(cause: IntegrationProblem, row?: AuthorizationRow, current = false): CallbackOutcome {
  return { kind: 'failed', problem: cause, current, ...(row && { authorization: authorizationOf(row) }) };
}

const refOf = (row: AuthorizationRow): ConnectionRef => ({
  accountId: row.account_id,
  id: row.connection_id,
  integrationId: row.integration_id,
});

export function authorizationOf(row: AuthorizationRow): Authorization {
  return {
    ...refOf(row),
    stateHash: row.state_hash,
    userId: row.user_id,
    returnTo: row.return_to,
    scopes: row.scopes,
    expiresAt: row.expires_at,
  };
}

const verifierPlace = (ref: ConnectionRef) =>
  sealedPlace(ref, 'oauth_authorizations', 'code_verifier_encrypted');
