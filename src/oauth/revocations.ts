import { sql, type Kysely, type Selectable, type Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import { untilDone, type Jobs } from '../db/jobs.ts';
import type { Tables } from '../db/tables.ts';
import { fail, IntegrationError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Catalog } from '../providers/catalog.ts';
import { sealedPlace, type AccountKeys, type ConnectionRef } from './accountKeys.ts';
import { UnsealError } from './encryption.ts';
import { tokenRanOut, tokenToRevoke, type GrantTokens, type TokenSet } from './protocol.ts';
import type { TokenEndpoint } from './tokenEndpoint.ts';

/**
 * Tokens that we no longer use but the provider still honours. Each waits, sealed, in `token_revocations` until the
 * provider has acknowledged; a job tries again for weeks where the first try fails. Revoking twice is harmless.
 */
export interface Revocations {
  /** Returns the row's id; undefined where the provider revokes nothing. The background job that backs up the first try commits with it. */
  keep(
    trx: Transaction<Tables>,
    ref: ConnectionRef,
    tokens: GrantTokens,
    externalId: string | null,
  ): Promise<string | undefined>;
  /** Tries now, for `patienceMs` at most. PENDING means that the job goes on trying. */
  attempt(accountId: string, id: string, patienceMs: number): Promise<'REVOKED' | 'PENDING'>;
  isPending(ref: ConnectionRef): Promise<boolean>;
  /**
   * Before a new grant is asked for: one that is being revoked is waited for, and others hold off for a while. Where a
   * revocation ends all that we have of an external account, it would end the new grant too.
   * @param forMs from the exchange of a code to the commit of what it gave, with room to spare, when absent
   */
  hold(ref: ConnectionRef, forMs?: number): Promise<void>;
  /** The new grant is there: what was still to be revoked of the same external account never will be. */
  supersede(trx: Transaction<Tables>, ref: ConnectionRef, externalId: string): Promise<void>;
  /** There is none: they may go on. */
  resume(ref: ConnectionRef): Promise<void>;
  /** Starts working off what earlier tries left. */
  work(): Promise<void>;
}

type RevocationRow = Selectable<Tables['token_revocations']>;
const queue = 'token-revocation';
export const revocationQueues = { [queue]: untilDone };
/** Longer than the immediate try may take. */
const firstRetryMs = 10_000;

const holdMs = 120_000;
const lookMs = 100;

export function createRevocations(deps: {
  db: Kysely<Tables>;
  forAccount: (accountId: string) => Kysely<Tables>;
  jobs: Jobs;
  keys: AccountKeys;
  endpoint: TokenEndpoint;
  catalog: Catalog;
  clock: Clock;
  log: Log;
}): Revocations {
  const { db, forAccount, jobs, keys, endpoint, catalog, clock, log } = deps;
  const sendingMs = endpoint.timeoutMs + 5_000;
  const later = (ms: number) => sql<Date>`clock_timestamp() + ${ms} * interval '1 millisecond'`;
  const of = (own: Kysely<Tables>, { accountId, integrationId }: ConnectionRef) =>
    own
      .updateTable('token_revocations')
      .where('account_id', '=', accountId)
      .where('integration_id', '=', integrationId);
  const endsMore = (integrationId: string) =>
    catalog.find(integrationId)?.provider.oauth.revokes === 'externalAccount';

  /** One at a time for each row, and none while a new grant is on its way. */
  const claim = (accountId: string, id: string) =>
    forAccount(accountId)
      .updateTable('token_revocations')
      .set({ sending_until: later(sendingMs) })
      .where('account_id', '=', accountId)
      .where('id', '=', id)
      .where(sql<boolean>`coalesce(greatest(sending_until, held_until), '-infinity') < clock_timestamp()`)
      .returningAll()
      .executeTakeFirst();

  /** Somebody is connected to the same external account, in whatever account of ours. */
  const isNeeded = async ({ integration_id, external_id }: RevocationRow): Promise<boolean> => {
    if (!endsMore(integration_id) || external_id === null) return false;
    const live = await db
      .selectFrom('connections')
      .select('id')
      .where('integration_id', '=', integration_id)
      .where('external_id', '=', external_id)
      .where('status', '=', 'ACTIVE')
      .limit(1)
      .executeTakeFirst();
    return live !== undefined;
  };

  const send = async (row: RevocationRow, deadlineAtMs: number | undefined): Promise<void> => {
    const ref = { accountId: row.account_id, id: row.connection_id, integrationId: row.integration_id };
    if (await isNeeded(row))
      return log.info({ connectionId: ref.id }, 'not revoked: the external account is connected again');
    let tokens: GrantTokens;
    try {
      const open = await keys.opener(forAccount(ref.accountId), ref.accountId);
      tokens = tokensIn(open(place(ref), row.token_encrypted));
    } catch (error) {
      if (!(error instanceof UnsealError)) throw error;
      if (error.code === 'KEY_UNAVAILABLE') fail('NOT_CONFIGURED', error.message, new Date(clock.now()));
      return log.error(
        { connectionId: ref.id, reason: error.code },
        'a token that does not open cannot be revoked: given up',
      );
    }
    const facts = catalog.find(ref.integrationId)?.provider.oauth;
    if (!facts)
      return fail('NOT_CONFIGURED', `${ref.integrationId} is not set up any more.`, new Date(clock.now()));
    const ask = (of: GrantTokens) =>
      endpoint.revoke(ref.integrationId, tokenToRevoke(facts, of), deadlineAtMs);
    try {
      await ask(tokens);
    } catch (error) {
      const ranOut = error instanceof IntegrationError && error.problem.providerCode === tokenRanOut;
      if (!ranOut || tokens.refreshToken === undefined) throw error;
      const renewed = await endpoint
        .refresh(ref.integrationId, tokens.refreshToken, [])
        // The grant has ended already.
        .catch((refused: unknown) => {
          const gone = refused instanceof IntegrationError && refused.code === 'REAUTHORIZATION_REQUIRED';
          if (!gone) throw refused;
        });
      if (!renewed) return;
      await replace(row, ref, tokens, renewed);
      await ask(renewed);
    }
  };

  /** A rotated refresh token is stored before anything else can fail. */
  const replace = async (row: RevocationRow, ref: ConnectionRef, old: GrantTokens, set: TokenSet) => {
    const { accessToken, refreshToken = old.refreshToken } = set;
    const own = forAccount(ref.accountId);
    const seal = await keys.sealer(own, ref.accountId);
    const text = JSON.stringify(onlyTokens({ accessToken, ...(refreshToken && { refreshToken }) }));
    await own
      .updateTable('token_revocations')
      .set({ token_encrypted: seal(place(ref), text) })
      .where('account_id', '=', ref.accountId)
      .where('id', '=', row.id)
      .execute();
  };

  const revoke = async (accountId: string, id: string, deadlineAtMs?: number): Promise<void> => {
    const own = forAccount(accountId);
    const one = <T extends { where(column: 'account_id' | 'id', op: '=', value: string): T }>(query: T) =>
      query.where('account_id', '=', accountId).where('id', '=', id);
    const row = await claim(accountId, id);
    if (!row) {
      const left = await one(own.selectFrom('token_revocations').select('id')).executeTakeFirst();
      if (!left) return;
      return fail(
        'CONFLICT',
        'The revocation is under way, or waits for a new grant.',
        new Date(clock.now()),
        {
          retryable: true,
        },
      );
    }
    try {
      await send(row, deadlineAtMs);
    } catch (error) {
      await one(own.updateTable('token_revocations').set({ sending_until: null })).execute();
      throw error;
    }
    await one(own.deleteFrom('token_revocations')).execute();
  };

  return {
    async keep(trx, ref, tokens, externalId) {
      const facts = catalog.find(ref.integrationId)?.provider.oauth;
      if (!facts || facts.revocation === 'none') return undefined;
      const id = clock.randomUUID();
      const seal = await keys.sealer(trx, ref.accountId);
      await trx
        .insertInto('token_revocations')
        .values({
          account_id: ref.accountId,
          id,
          integration_id: ref.integrationId,
          connection_id: ref.id,
          external_id: externalId,
          token_encrypted: seal(place(ref), JSON.stringify(onlyTokens(tokens))),
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

    async hold(ref, forMs = holdMs) {
      if (!endsMore(ref.integrationId)) return;
      const own = forAccount(ref.accountId);
      const held = await of(own, ref)
        .set({ held_until: later(forMs) })
        .returning('id')
        .execute();
      const giveUpAt = clock.monotonic() + sendingMs;
      while (held.length > 0 && clock.monotonic() < giveUpAt) {
        const sending = await own
          .selectFrom('token_revocations')
          .select('id')
          .where('account_id', '=', ref.accountId)
          .where('integration_id', '=', ref.integrationId)
          .where('sending_until', '>', sql<Date>`clock_timestamp()`)
          .executeTakeFirst();
        if (!sending) return;
        await clock.sleep(lookMs);
      }
    },

    async supersede(trx, ref, externalId) {
      if (!endsMore(ref.integrationId)) return;
      await trx
        .deleteFrom('token_revocations')
        .where('account_id', '=', ref.accountId)
        .where('integration_id', '=', ref.integrationId)
        .where('external_id', '=', externalId)
        .execute();
      await of(trx, ref).set({ held_until: null }).execute();
    },

    async resume(ref) {
      if (endsMore(ref.integrationId))
        await of(forAccount(ref.accountId), ref).set({ held_until: null }).execute();
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
      const row = await forAccount(ref.accountId)
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

const onlyTokens = ({ accessToken, refreshToken }: GrantTokens): GrantTokens => ({
  accessToken,
  ...(refreshToken !== undefined && { refreshToken }),
});

/** Rows of the version before hold one token and nothing else. */
function tokensIn(text: string): GrantTokens {
  return text.startsWith('{') ? (JSON.parse(text) as GrantTokens) : { accessToken: text, refreshToken: text };
}
