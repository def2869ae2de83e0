import { sql, type Kysely } from 'kysely';
import pg from 'pg';
import type { Tables } from './tables.ts';

/**
 * The second wall between accounts, on PostgreSQL: statements for one account run as a role that row-level security
 * holds to that account, within a transaction that says which. Both are set for that transaction only: a client of the
 * pool, or of a PgBouncer in transaction mode, takes nothing of it to the next one. Here is the role and what it may
 * do; `accountDialect.ts` runs the statements.
 */
export const tenantRole = 'integrations_tenant';

/** What an administrator has to run where our own user may not: once for the server, whatever the databases. */
export const cureOfNoWall = (user: string): string =>
  `create role ${tenantRole} nologin nobypassrls; grant ${tenantRole} to ${pg.escapeIdentifier(user)};`;

/** Who we are to the server. */
export async function currentUser(db: Kysely<Tables>): Promise<string> {
  const { rows } = await sql<{ user: string }>`select current_user::text as user`.execute(db);
  return rows[0]!.user;
}

/**
 * Makes the role where it is missing, lets it at the tables, and tells whether the wall stands. False where our user
 * may not do that: everything then works without the second wall. Repeats nothing that is done; any number of processes
 * may call it at once.
 */
export async function raiseWall(db: Kysely<Tables>): Promise<boolean> {
  if (await wallStands(db)) return true;
  try {
    await sql.raw(makeRoleAndGrant).execute(db);
  } catch (error) {
    if (isRefusal(error)) return false;
    throw error;
  }
  return wallStands(db);
}

/**
 * Whether our user may become the role, the role may use all that it needs, and the policies hold it. They would not
 * hold an owner of the tables, nor a role that somebody made with BYPASSRLS. Looks only.
 */
export async function wallStands(db: Kysely<Tables>): Promise<boolean> {
  const { rows } = await sql<{ granted: boolean | null }>`
    select bool_and(has_schema_privilege(r.oid, t.relnamespace, 'usage')
      and has_table_privilege(r.oid, t.oid, 'select') and has_table_privilege(r.oid, t.oid, 'insert')
      and has_table_privilege(r.oid, t.oid, 'update') and has_table_privilege(r.oid, t.oid, 'delete')) as granted
    from pg_roles r, (${sql.raw(openTables)}) t where r.rolname = ${tenantRole}`.execute(db);
  if (!rows[0]!.granted) return false;
  try {
    return await db.transaction().execute(async (trx) => {
      await sql.raw(`set local role ${tenantRole}`).execute(trx);
      const held = await sql<{ all: boolean }>`
        select bool_and(row_security_active(oid)) as all from (${sql.raw(tablesWithAccounts)}) t`.execute(
        trx,
      );
      return held.rows[0]!.all;
    });
  } catch (error) {
    if (isRefusal(error)) return false;
    throw error;
  }
}

/** The server says that our user may not, or that there is no such role (any more). */
const isRefusal = (error: unknown) => ['42501', '42704'].includes((error as { code?: string }).code ?? '');

const tablesWithAccounts = `select c.oid, c.relnamespace from pg_class c
  where c.relkind in ('r', 'p') and c.relnamespace = current_schema()::regnamespace and exists (
    select from pg_attribute a where a.attrelid = c.oid and a.attname = 'account_id')`;

/** What has an account, and the job queue, to which transactions of an account send. Nothing else. */
const openTables = `${tablesWithAccounts}
  union all select c.oid, c.relnamespace from pg_class c
  where c.relkind in ('r', 'p') and c.relnamespace = to_regnamespace('pgboss')`;

/** Of our choice, like `lockId` of the migrations. */
const lockId = 7_205_759_403_792_795n;

/**
 * Processes on one database take turns. Those on other databases of the server do not, and roles belong to all of
 * them: two may make it or grant it at once, and a grant may meet a migration. Who loses tries again. From PostgreSQL
 * 16 on, who makes a role is a member of it but may not become it: that takes a grant of its own.
 */
const makeRoleAndGrant = `do $do$
declare
  separate boolean := current_setting('server_version_num')::int >= 160000;
  s regnamespace;
  t regclass;
begin
  perform pg_advisory_xact_lock(${lockId});
  for attempt in 1..20 loop
    begin
      if not exists (select from pg_roles where rolname = '${tenantRole}') then
        create role ${tenantRole} nologin nobypassrls;
      end if;
      if not pg_has_role(current_user, '${tenantRole}', case when separate then 'set' else 'member' end) then
        execute format('grant ${tenantRole} to %I', current_user)
          || case when separate then ' with set true' else '' end;
      end if;
      for s in select distinct relnamespace from (${openTables}) o loop
        execute format('grant usage on schema %s to ${tenantRole}', s);
      end loop;
      for t in select oid from (${openTables}) o loop
        execute format('grant select, insert, update, delete on %s to ${tenantRole}', t);
      end loop;
      if to_regnamespace('pgboss') is not null then
        grant usage on all sequences in schema pgboss to ${tenantRole};
      end if;
      return;
    exception when duplicate_object or unique_violation or internal_error or deadlock_detected then
      if attempt = 20 then raise; end if;
      perform pg_sleep(0.05);
    end;
  end loop;
end $do$`;
