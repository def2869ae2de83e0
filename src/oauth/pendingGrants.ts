import { createHash } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Tables } from '../db/tables.ts';
import type { Log } from '../log.ts';
import type { Catalog } from '../providers/catalog.ts';
import { sealedPlace, type AccountKeys, type ConnectionRef } from './accountKeys.ts';
import { authorizationOf, type Authorization, type AuthorizationRow } from './authorization.ts';
import { UnsealError } from './encryption.ts';
import type { TokenSet } from './protocol.ts';
import type { Revocations } from './revocations.ts';

/**
 * Grants that the provider has given and nobody has confirmed yet. A redirect proves that some browser agreed, not
 * whose (RFC 9700 §4.7): so the browser is handed a code, and the grant becomes a connection only for the account and
 * the person who asked for it. Until then it is sealed in the row of its round trip.
 */
export interface PendingGrants {
  /** Keeps a grant; `code` is shown once. */
  keep(
    trx: Transaction<Tables>,
    authorization: Authorization,
    grant: { tokens: TokenSet; externalId: string },
  ): Promise<{ code: string; completeBy: Date }>;
  /**
   * Takes the grant out, for its owner, once. Undefined for every code that is not good: unknown, used, expired, of
   * another account and of another person all look alike.
   */
  redeem(
    trx: Transaction<Tables>,
    by: { accountId: string; userId: string | null },
    code: string,
  ): Promise<{ authorization: Authorization; tokens: TokenSet; externalId: string } | undefined>;
  /**
   * Forgets grants whose time is over, at most so many; answers how many there were. They are revoked where that ends
   * them and nothing else: docs/decisions/0015-confirmed-connects.md.
   */
  dropExpired(most: number): Promise<number>;
}

export const confirmWithinMs = 10 * 60_000;
/** 256 bits: 43 characters of base64url. */
const codeForm = /^[\w-]{43}$/;

export function createPendingGrants(deps: {
  /** What is expired is looked for in all accounts. */
  db: Kysely<Tables>;
  forAccount: (accountId: string) => Kysely<Tables>;
  keys: AccountKeys;
  revocations: Revocations;
  catalog: Catalog;
  clock: Clock;
  log: Log;
}): PendingGrants {
  const { db, forAccount, keys, revocations, catalog, clock, log } = deps;
  const now = () => new Date(clock.now());

  const opened = async (trx: Transaction<Tables>, row: AuthorizationRow): Promise<Stored | undefined> => {
    try {
      const open = await keys.opener(trx, row.account_id);
      return fromText(open(place(authorizationOf(row)), row.grant_encrypted!));
    } catch (error) {
      if (!(error instanceof UnsealError)) throw error;
      log.error({ connectionId: row.connection_id, reason: error.code }, 'a grant does not open');
      return undefined;
    }
  };

  const forget = (trx: Transaction<Tables>, { account_id, state_hash }: AuthorizationRow) =>
    trx
      .updateTable('oauth_authorizations')
      .set({ completion_hash: null, grant_encrypted: null })
      .where('account_id', '=', account_id)
      .where('state_hash', '=', state_hash)
      .execute();

  const drop = (accountId: string, stateHash: Buffer) =>
    forAccount(accountId)
      .transaction()
      .execute(async (trx) => {
        const row = await trx
          .selectFrom('oauth_authorizations')
          .selectAll()
          .where('account_id', '=', accountId)
          .where('state_hash', '=', stateHash)
          .where('grant_encrypted', 'is not', null)
          .where('complete_by', '<=', now())
          .forUpdate()
          .executeTakeFirst();
        if (!row) return;
        const revokes = catalog.find(row.integration_id)?.provider.oauth.revokes;
        const grant = revokes === 'authorization' ? await opened(trx, row) : undefined;
        if (grant) await revocations.keep(trx, authorizationOf(row), grant.tokens, grant.externalId);
        await forget(trx, row);
        log.info(
          { connectionId: row.connection_id, revoked: grant !== undefined },
          'a grant was not confirmed',
        );
      });

  return {
    async keep(trx, authorization, { tokens, externalId }) {
      const code = clock.randomBytes(32).toString('base64url');
      const completeBy = new Date(clock.now() + confirmWithinMs);
      const seal = await keys.sealer(trx, authorization.accountId);
      await trx
        .updateTable('oauth_authorizations')
        .set({
          completion_hash: hashOf(code),
          complete_by: completeBy,
          grant_encrypted: seal(
            place(authorization),
            JSON.stringify({ tokens, externalId } satisfies Stored),
          ),
        })
        .where('account_id', '=', authorization.accountId)
        .where('state_hash', '=', authorization.stateHash)
        .execute();
      return { code, completeBy };
    },

    async redeem(trx, { accountId, userId }, code) {
      if (!codeForm.test(code)) return undefined;
      const row = await trx
        .selectFrom('oauth_authorizations')
        .selectAll()
        .where('account_id', '=', accountId)
        .where('completion_hash', '=', hashOf(code))
        .where('user_id', 'is not distinct from', userId)
        .where('complete_by', '>', now())
        .where('grant_encrypted', 'is not', null)
        .forUpdate()
        .executeTakeFirst();
      const grant = row && (await opened(trx, row));
      if (!grant) return undefined;
      await forget(trx, row);
      return { authorization: authorizationOf(row), ...grant };
    },

    async dropExpired(most) {
      const expired = await db
        .selectFrom('oauth_authorizations')
        .select(['account_id', 'state_hash'])
        .where('grant_encrypted', 'is not', null)
        .where('complete_by', '<=', now())
        .orderBy('complete_by')
        .limit(most)
        .execute();
      for (const { account_id, state_hash } of expired) await drop(account_id, state_hash);
      return expired.length;
    },
  };
}

interface Stored {
  tokens: TokenSet;
  externalId: string;
}

const dates = new Set<string>([
  'issuedAt',
  'expiresAt',
  'refreshExpiresAt',
  'hardExpiresAt',
] satisfies (keyof TokenSet)[]);

function fromText(text: string): Stored {
  return JSON.parse(text, (name, value: unknown) =>
    dates.has(name) && typeof value === 'string' ? new Date(value) : value,
  ) as Stored;
}

/** Only the hash is stored: whoever reads the table cannot confirm somebody's grant. */
const hashOf = (code: string): Buffer => createHash('sha256').update(code).digest();

const place = (ref: ConnectionRef) => sealedPlace(ref, 'oauth_authorizations', 'grant_encrypted');
