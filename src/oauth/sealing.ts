import type { Kysely } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Tables } from '../db/tables.ts';
import { IntegrationError, problem } from '../errors.ts';
import type { Log } from '../log.ts';
import { sealedPlace, type AccountKeys, type ConnectionRef, type Open } from './accountKeys.ts';
import { UnsealError } from './encryption.ts';
import { refreshDueAt, type TokenSet, type UserCredentials } from './protocol.ts';
import type { TokenRow, TokenValues } from './tokenRows.ts';

export type SealedColumn = 'access_token_encrypted' | 'refresh_token_encrypted' | 'credentials_encrypted';

/** What a token answer becomes in its row, and back. */
export interface Sealing {
  /** Throws `SecretLost`. */
  unseal(ref: ConnectionRef, open: Open, column: SealedColumn, sealed: Buffer): string;
  /** @param old the row that it replaces: what the answer does not say again stays as it was */
  values(trx: Kysely<Tables>, ref: ConnectionRef, set: TokenSet, old: Old): Promise<TokenValues>;
}

type Old = Pick<
  TokenRow,
  | 'external_id'
  | 'external_user_id'
  | 'generation'
  | 'refresh_token_encrypted'
  | 'hard_expires_at'
  | 'refresh_token_expires_at'
> & { credentials_encrypted: Buffer | UserCredentials | null };

/** A stored secret that does not open. A missing key is the operator's to restore, anything else the person's to cure. */
export class SecretLost extends IntegrationError {}

export function createSealing({ keys, clock, log }: { keys: AccountKeys; clock: Clock; log: Log }): Sealing {
  return {
    unseal(ref, open, column, sealed) {
      try {
        return open(placeOf(ref, column), sealed);
      } catch (error) {
        if (!(error instanceof UnsealError)) throw error;
        log.error(
          { connectionId: ref.id, column, reason: error.code, err: error },
          'a stored secret does not open',
        );
        const missing = error.code === 'KEY_UNAVAILABLE';
        const message = missing
          ? 'The key of the stored authorization is missing from ENCRYPTION_KEYS: restore it, or connect again.'
          : 'The stored authorization can no longer be read: connect again.';
        throw new SecretLost(
          problem('REAUTHORIZATION_REQUIRED', message, new Date(clock.now()), {
            ...(missing && { actor: 'OPERATOR' }),
          }),
        );
      }
    },

    async values(trx, ref, set, old) {
      const seal = await keys.sealer(trx, ref.accountId);
      const sealed = (column: SealedColumn, text: string) => seal(placeOf(ref, column), text);
      const refreshToken =
        set.refreshToken === undefined
          ? old.refresh_token_encrypted
          : sealed('refresh_token_encrypted', set.refreshToken);
      const credentials =
        old.credentials_encrypted === null || Buffer.isBuffer(old.credentials_encrypted)
          ? old.credentials_encrypted
          : sealed('credentials_encrypted', JSON.stringify(old.credentials_encrypted));
      const hardExpiresAt = set.hardExpiresAt ?? old.hard_expires_at;
      // One that stays keeps its end; a new one of which nothing is said has none that we know.
      const rolling =
        set.refreshExpiresAt ?? (set.refreshToken === undefined ? old.refresh_token_expires_at : null);
      const ends = [rolling, hardExpiresAt].filter((end) => end !== null);
      const renewable = refreshToken !== null || credentials !== null;
      return {
        account_id: ref.accountId,
        provider: ref.integrationId,
        connection_id: ref.id,
        generation: old.generation,
        access_token_encrypted: sealed('access_token_encrypted', set.accessToken),
        refresh_token_encrypted: refreshToken,
        credentials_encrypted: credentials,
        issued_at: set.issuedAt,
        expires_at: set.expiresAt,
        refresh_due_at: renewable ? refreshDueAt(set.issuedAt, set.expiresAt, clock.random()) : null,
        refresh_token_expires_at: ends.length > 0 ? new Date(Math.min(...ends.map(Number))) : null,
        hard_expires_at: hardExpiresAt,
        scopes: set.scopes,
        external_id: old.external_id,
        external_user_id: set.externalUserId ?? old.external_user_id,
        updated_at: new Date(clock.now()),
      };
    },
  };
}

export const placeOf = (ref: ConnectionRef, column: SealedColumn) => sealedPlace(ref, 'oauth_tokens', column);
