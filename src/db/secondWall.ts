import {
  CompiledQuery,
  Kysely,
  PostgresDriver,
  sql,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type KyselyConfig,
  type QueryResult,
  type TransactionSettings,
} from 'kysely';
import pg from 'pg';
import type { Tables } from './tables.ts';

/**
 * The second wall between accounts, on PostgreSQL: statements for one account run as a role that row-level security
 * holds to that account, within a transaction that says which. Both are set for that transaction only: a client of the
 * pool, or of a PgBouncer in transaction mode, takes nothing of it to the next one.
 */
const role = 'integrations_tenant';

/** What an administrator has to run where our own user may not: once for the server, whatever the databases. */
export const cureOfNoWall = (user: string): string =>
  `create role ${role} nologin nobypassrls; grant ${role} to ${pg.escapeIdentifier(user)};`;

/** One Kysely for an account: cheap, for all of them share the pool. A single statement costs two more round trips. */
export function openForAccount(
  dialect: Dialect,
  driver: PostgresDriver,
  config: Omit<KyselyConfig, 'dialect'>,
): (accountId: string) => Kysely<Tables> {
  return (accountId) => {
    const begin = `begin; set local role ${role}; set local integrations.account_id = ${pg.escapeLiteral(accountId)}`;
    const own: Dialect = {
      createAdapter: () => dialect.createAdapter(),
      createQueryCompiler: () => dialect.createQueryCompiler(),
      createIntrospector: (db) => dialect.createIntrospector(db),
      createDriver: () => accountDriver(driver, begin),
    };
    return new Kysely<Tables>({ ...config, dialect: own });
  };
}

/** Text without parameters goes as a simple query, which may hold several statements. */
const simple = (text: string) => CompiledQuery.raw(text);

type Inner = Parameters<PostgresDriver['releaseConnection']>[0];

class AccountConnection implements DatabaseConnection {
  readonly inner: Inner;
  readonly #driver: PostgresDriver;
  readonly #begin: string;
  inTransaction = false;

  constructor(driver: PostgresDriver, inner: Inner, begin: string) {
    this.#driver = driver;
    this.inner = inner;
    this.#begin = begin;
  }

  async begin(): Promise<void> {
    try {
      await this.inner.executeQuery(simple(this.#begin));
    } catch (error) {
      // It may have begun before it failed; a client that cannot even roll back is not given to the next one.
      await this.#driver.rollbackTransaction(this.inner).catch(() => undefined);
      throw error;
    }
    this.inTransaction = true;
  }

  async end(end: (inner: Inner) => Promise<void>): Promise<void> {
    this.inTransaction = false;
    await end(this.inner);
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    if (this.inTransaction) return this.inner.executeQuery<R>(query);
    await this.begin();
    this.inTransaction = false;
    // Sent behind each other. Where the statement fails, a commit rolls back.
    const [result, ended] = await Promise.allSettled([
      this.inner.executeQuery<R>(query),
      this.inner.executeQuery(simple('commit')),
    ]);
    if (result.status === 'rejected') throw result.reason;
    if (ended.status === 'rejected') throw ended.reason;
    return result.value;
  }

  // oxlint-disable-next-line require-yield -- nothing of ours streams
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    await Promise.reject(new Error('Statements for one account are not streamed.'));
  }
}

function accountDriver(driver: PostgresDriver, begin: string): Driver {
  const of = (connection: DatabaseConnection) => connection as AccountConnection;
  return {
    init: () => Promise.resolve(),
    acquireConnection: async (options) =>
      new AccountConnection(driver, (await driver.acquireConnection(options)) as Inner, begin),
    beginTransaction: (connection, settings: TransactionSettings) => {
      if (settings.isolationLevel || settings.accessMode)
        throw new Error('Transactions for one account have no settings of their own.');
      return of(connection).begin();
    },
    commitTransaction: (connection) => of(connection).end((inner) => driver.commitTransaction(inner)),
    rollbackTransaction: (connection) => of(connection).end((inner) => driver.rollbackTransaction(inner)),
    releaseConnection: (connection) => driver.releaseConnection(of(connection).inner),
    // The pool is another's to end.
    destroy: () => Promise.resolve(),
  };
}

/**
 * Makes the role where it is missing, lets it at the tables, and tells whether it can be used. False where our user
 * may not do that: everything then works without the second wall. Repeats nothing that is done; any number of processes
 * may call it at once.
 */
export async function raiseWall(db: Kysely<Tables>): Promise<boolean> {
  try {
    if (!(await isReady(db))) {
      await sql.raw(makeRole).execute(db);
      await sql.raw(grantTables).execute(db);
    }
    return await isReady(db);
  } catch (error) {
    // Another database of the server may be making the same role at this moment.
    if (isRefusal(error)) return false;
    throw error;
  }
}

async function isReady(db: Kysely<Tables>): Promise<boolean> {
  const { rows } = await sql<{ ready: boolean }>`
    select coalesce(bool_and(has_table_privilege(r.oid, c.oid, 'select, insert, update, delete')), false) as ready
    from pg_roles r, pg_class c join pg_namespace n on n.oid = c.relnamespace
    where r.rolname = ${role} and c.relkind in ('r', 'p')
      and (n.nspname = 'pgboss' or n.nspname = current_schema() and exists (
        select from pg_attribute a where a.attrelid = c.oid and a.attname = 'account_id'))`.execute(db);
  if (!rows[0]?.ready) return false;
  try {
    await db.transaction().execute((trx) => sql.raw(`set local role ${role}`).execute(trx));
    return true;
  } catch (error) {
    if (isRefusal(error)) return false;
    throw error;
  }
}

/** The server says that our user may not, or that there is no such role. */
const isRefusal = (error: unknown) =>
  ['42501', '42704', '0LP01'].includes((error as { code?: string }).code ?? '');

/** Roles belong to the server, not to the database: two databases may make it at once. */
const makeRole = `do $do$
begin
  for attempt in 1..20 loop
    begin
      if not exists (select from pg_roles where rolname = '${role}') then
        create role ${role} nologin nobypassrls;
      end if;
      if not pg_has_role(current_user, '${role}', 'member') then
        execute format('grant ${role} to %I', current_user);
      end if;
      return;
    exception when duplicate_object or unique_violation or internal_error then
      perform pg_sleep(0.05);
    end;
  end loop;
end $do$`;

/** What has an account, and the job queue, to which transactions of an account send. Nothing else. */
const grantTables = `do $do$
declare t regclass;
begin
  for t in
    select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and (n.nspname = 'pgboss' or n.nspname = current_schema() and exists (
      select from pg_attribute a where a.attrelid = c.oid and a.attname = 'account_id'))
  loop
    execute format('grant select, insert, update, delete on %s to ${role}', t);
  end loop;
  execute format('grant usage on schema %I to ${role}', current_schema());
  if exists (select from pg_namespace where nspname = 'pgboss') then
    grant usage on schema pgboss to ${role};
    grant usage on all sequences in schema pgboss to ${role};
  end if;
end $do$`;
