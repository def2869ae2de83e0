import { randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';
import { systemClock } from '../../src/clock.ts';
import type { Tables } from '../../src/db/tables.ts';
import {
  dataKeysOf,
  insertDataKeys,
  openerOf,
  sealedPlace,
  type StoredDataKey,
} from '../../src/oauth/accountKeys.ts';
import { newDataKey, parseMasterKeys, seal } from '../../src/oauth/encryption.ts';
import { readSealedRows, sealedTables, type SealedRow } from '../../src/oauth/sealedValues.ts';

/** `id:base64` of a master key whose bytes are all `fill`. */
export const masterKey = (id: string, fill: number): string =>
  `${id}:${Buffer.alloc(32, fill).toString('base64')}`;

/** What is sealed in a column of an account, by `version` of its row. */
export const plaintextOf = (column: string, accountId: string, version = 1): string =>
  `secret ${column} of ${accountId}, version ${version}`;

export interface SealedAccount {
  accountId: string;
  connectionId: string;
  keyId: string;
}

/**
 * Accounts that are connected to QuickBooks, each with a data key of its own and something in every sealed column.
 * @param encryptionKeys as the setting; the first seals
 * @param tokensOnly seals an access and a refresh token and nothing else
 */
export async function addAccounts(
  db: Kysely<Tables>,
  encryptionKeys: string,
  accountIds: readonly string[],
  { createdAt = new Date(), tokensOnly = false } = {},
): Promise<SealedAccount[]> {
  const master = parseMasterKeys(encryptionKeys);
  const added: SealedAccount[] = [];
  for (let start = 0; start < accountIds.length; start += 500) {
    const made = accountIds.slice(start, start + 500).map((accountId) => {
      const { row, key } = newDataKey(master, accountId, systemClock);
      const ref = { accountId, id: randomUUID(), integrationId: 'quickbooks' };
      const sealed = (table: string, column: string) =>
        seal(key, sealedPlace(ref, table, column), plaintextOf(column, accountId), systemClock);
      return { row: { ...row, createdAt } satisfies StoredDataKey, ref, sealed };
    });
    await db
      .insertInto('connections')
      .values(
        made.map(({ ref }, i) => ({
          account_id: ref.accountId,
          id: ref.id,
          integration_id: ref.integrationId,
          status: 'ACTIVE' as const,
          external_id: String(9_000_000 + start + i),
          connected_at: createdAt,
        })),
      )
      .execute();
    await insertDataKeys(
      db,
      made.map(({ row }) => row),
    );
    await db
      .insertInto('oauth_tokens')
      .values(
        made.map(({ ref, sealed }) => ({
          account_id: ref.accountId,
          provider: ref.integrationId,
          connection_id: ref.id,
          access_token_encrypted: sealed('oauth_tokens', 'access_token_encrypted'),
          refresh_token_encrypted: sealed('oauth_tokens', 'refresh_token_encrypted'),
          credentials_encrypted: tokensOnly ? null : sealed('oauth_tokens', 'credentials_encrypted'),
          issued_at: createdAt,
          updated_at: createdAt,
          expires_at: new Date(createdAt.getTime() + 3_600_000),
          scopes: [],
        })),
      )
      .execute();
    if (!tokensOnly) await addOtherValues(db, made);
    for (const { ref, row } of made)
      added.push({ accountId: ref.accountId, connectionId: ref.id, keyId: row.id });
  }
  return added;
}

interface Made {
  ref: { accountId: string; id: string; integrationId: string };
  sealed(table: string, column: string): Buffer;
}

async function addOtherValues(db: Kysely<Tables>, made: readonly Made[]): Promise<void> {
  await db
    .insertInto('token_revocations')
    .values(
      made.map(({ ref, sealed }) => ({
        account_id: ref.accountId,
        id: randomUUID(),
        integration_id: ref.integrationId,
        connection_id: ref.id,
        token_encrypted: sealed('token_revocations', 'token_encrypted'),
      })),
    )
    .execute();
  await db
    .insertInto('oauth_authorizations')
    .values(
      made.map(({ ref, sealed }) => ({
        state_hash: Buffer.from(randomUUID()),
        account_id: ref.accountId,
        integration_id: ref.integrationId,
        connection_id: ref.id,
        redirect_uri: 'http://localhost:4000/oauth/quickbooks/callback',
        code_verifier_encrypted: sealed('oauth_authorizations', 'code_verifier_encrypted'),
        grant_encrypted: sealed('oauth_authorizations', 'grant_encrypted'),
        scopes: [],
        expires_at: new Date(),
      })),
    )
    .execute();
  await db
    .insertInto('webhook_secrets')
    .values(
      made.map(({ ref, sealed }) => ({
        account_id: ref.accountId,
        connection_id: ref.id,
        id: randomUUID(),
        secret_encrypted: sealed('webhook_secrets', 'secret_encrypted'),
      })),
    )
    .execute();
}

/** Accounts that have a data key and nothing sealed by it, `<prefix>-0` and so on: quickly made. */
export async function addEmptyAccounts(
  db: Kysely<Tables>,
  encryptionKeys: string,
  count: number,
  { createdAt = new Date(), prefix = 'empty' } = {},
): Promise<void> {
  const master = parseMasterKeys(encryptionKeys);
  const accountIds = Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
  const rows = accountIds.map((accountId) => newDataKey(master, accountId, systemClock).row);
  await insertDataKeys(
    db,
    rows.map((row) => ({ ...row, createdAt })),
  );
}

/** All that was added. */
export async function removeAccounts(db: Kysely<Tables>): Promise<void> {
  await db.deleteFrom('connections').execute();
  await db.deleteFrom('token_revocations').execute();
  await db.deleteFrom('account_keys').execute();
}

/** Of all tables and accounts. */
export async function allSealedRows(db: Kysely<Tables>): Promise<SealedRow[]> {
  const rows: SealedRow[] = [];
  for (const table of sealedTables) rows.push(...(await readSealedRows(db, table, { limit: 10_000 })));
  return rows;
}

/** Opens every sealed value with these master keys. Answers how many are what `addAccounts` sealed; throws otherwise. */
export async function openAll(db: Kysely<Tables>, encryptionKeys: string): Promise<number> {
  const master = parseMasterKeys(encryptionKeys);
  const rows = await allSealedRows(db);
  const keys = await dataKeysOf(db, [...new Set(rows.map(({ ref }) => ref.accountId))]);
  const own = Map.groupBy(keys, (key) => key.accountId);
  let opened = 0;
  for (const { ref, values } of rows) {
    const open = openerOf(master, own.get(ref.accountId) ?? []);
    for (const { column, place, sealed } of values) {
      if (open(place, sealed) !== plaintextOf(column, ref.accountId))
        throw new Error(`${place.column} of ${ref.accountId} opens, but as something else`);
      opened += 1;
    }
  }
  return opened;
}
