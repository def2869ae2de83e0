import { sql, type Kysely, type RawBuilder } from 'kysely';
import type { Tables } from '../db/tables.ts';
import { sealedPlace, type ConnectionRef } from './accountKeys.ts';
import type { Place } from './encryption.ts';

/**
 * Every column that holds sealed values. One that is missing here would keep its old data key, and that key would be
 * deleted from under it: a test compares this list with the `..._encrypted` columns of the database.
 */
export interface SealedTable {
  name: 'oauth_tokens' | 'token_revocations' | 'oauth_authorizations' | 'webhook_secrets';
  key: readonly string[];
  /** The column that names the integration; null: the connection's own does. */
  integration: string | null;
  columns: readonly string[];
}

export const sealedTables: readonly SealedTable[] = [
  {
    name: 'oauth_tokens',
    key: ['account_id', 'provider'],
    integration: 'provider',
    columns: ['access_token_encrypted', 'refresh_token_encrypted', 'credentials_encrypted'],
  },
  {
    name: 'token_revocations',
    key: ['account_id', 'id'],
    integration: 'integration_id',
    columns: ['token_encrypted'],
  },
  {
    name: 'oauth_authorizations',
    key: ['state_hash'],
    integration: 'integration_id',
    columns: ['code_verifier_encrypted', 'grant_encrypted'],
  },
  {
    name: 'webhook_secrets',
    key: ['account_id', 'connection_id', 'id'],
    integration: null,
    columns: ['secret_encrypted'],
  },
];

export interface SealedRow {
  table: SealedTable;
  /** The values of `table.key`. */
  key: readonly unknown[];
  ref: ConnectionRef;
  values: readonly SealedValue[];
}

export interface SealedValue {
  column: string;
  place: Place;
  sealed: Buffer;
}

/**
 * Up to `limit` rows of a table, those without a sealed value too, in the order of its key.
 * @param after the last row of the page before
 * @param order `random` takes rows from anywhere, and looks at the whole table for it
 */
export async function readSealedRows(
  db: Kysely<Tables>,
  table: SealedTable,
  page: {
    limit: number;
    after?: SealedRow | undefined;
    accountId?: string | undefined;
    order?: 'key' | 'random';
  },
): Promise<SealedRow[]> {
  const column = (name: string) => sql.ref(`t.${name}`);
  const keys = sql.join(table.key.map(column));
  const integration =
    table.integration === null
      ? sql`(select c.integration_id from connections c where c.account_id = t.account_id and c.id = t.connection_id)`
      : column(table.integration);
  const conditions = [
    ...(page.accountId === undefined ? [] : [sql`t.account_id = ${page.accountId}`]),
    ...(page.after ? [sql`(${keys}) > (${sql.join([...page.after.key])})`] : []),
  ];
  const { rows } = await sql<Record<string, unknown>>`
    select t.account_id as ref_account, t.connection_id as ref_connection, ${integration} as ref_integration,
      ${sql.join([...new Set([...table.key, ...table.columns])].map(column))}
    from ${sql.table(table.name)} t
    ${conditions.length > 0 ? sql`where ${all(conditions)}` : sql``}
    order by ${page.order === 'random' ? sql`random()` : keys}
    limit ${page.limit}`.execute(db);

  return rows.map((row) => {
    const ref: ConnectionRef = {
      accountId: row['ref_account'] as string,
      id: row['ref_connection'] as string,
      integrationId: row['ref_integration'] as string,
    };
    const values = table.columns.flatMap((name) => {
      const sealed = row[name] as Buffer | null;
      return sealed === null ? [] : [{ column: name, place: sealedPlace(ref, table.name, name), sealed }];
    });
    return { table, key: table.key.map((name) => row[name]), ref, values };
  });
}

/**
 * Puts other bytes for the same plain values into a row, if every one of them still is as it was read. Nothing else of
 * the row moves, its version neither: whoever is about to write it does not notice.
 * @returns false when the row has changed or is gone
 */
export async function replaceSealed(
  db: Kysely<Tables>,
  row: SealedRow,
  replacements: readonly (SealedValue & { resealed: Buffer })[],
): Promise<boolean> {
  const keys = row.table.key.map((name, i) => sql`${sql.ref(name)} = ${row.key[i]}`);
  const unchanged = replacements.map(({ column, sealed }) => sql`${sql.ref(column)} = ${sealed}`);
  const changes = replacements.map(({ column, resealed }) => sql`${sql.ref(column)} = ${resealed}`);
  const { rows } = await sql`
    update ${sql.table(row.table.name)} set ${sql.join(changes)}
    where ${all([...keys, ...unchanged])} returning 1`.execute(db);
  return rows.length > 0;
}

/** That no sealed value names the data key of a row of `account_keys`, by the alias `k`. */
export const isNamedByNone: RawBuilder<boolean> = all(
  sealedTables.flatMap(({ name, columns }) =>
    columns.map(
      // Bytes 2 to 17 of a sealed value are its key's id.
      (column) => sql`not exists (
        select from ${sql.table(name)} v
        where v.account_id = k.account_id and substring(${sql.ref(`v.${column}`)} from 2 for 16) = uuid_send(k.id))`,
    ),
  ),
);

function all(conditions: readonly RawBuilder<unknown>[]): RawBuilder<boolean> {
  return sql<boolean>`${sql.join([...conditions], sql` and `)}`;
}
