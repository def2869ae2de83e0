/** Makes a database that a test has used as good as new, which takes a fraction of what a new one takes. */

/** What a new database is like. */
export interface Pristine {
  shape: string;
  /** Statements that bring back what it is filled with. */
  restore: string;
}

/** Runs statements in one session; resolves with the first row of the last one. */
export type Run = (statements: string) => Promise<unknown>;

const quietWithinMs = 2_000;
const mostKept = 2;

/** Databases of this process that were used and emptied, for whoever needs one next. */
export function createShelf<T>(kind: {
  make(): Promise<T>;
  isEmptied(used: T): Promise<boolean>;
  /** Of one that cannot be emptied, or is one too many. */
  drop(used: T): Promise<void>;
}): { take(): Promise<T>; putBack(used: T): Promise<void> } {
  const emptied: T[] = [];
  return {
    take: async () => emptied.pop() ?? (await kind.make()),
    async putBack(used) {
      if (emptied.length < mostKept && (await kind.isEmptied(used))) emptied.push(used);
      else await kind.drop(used);
    },
  };
}

const ours = `(select oid from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema')`;
/** Which migrations have run, ours and the job queue's. */
const seeded = `('kysely_migration', 'kysely_migration_lock', 'version')`;

export async function pristineOf(run: Run): Promise<Pristine> {
  const { names } = (await run(
    `select array_agg(c.oid::regclass::text) as names from pg_class c
     where c.relkind = 'r' and c.relnamespace in ${ours} and c.relname in ${seeded}`,
  )) as { names: string[] };
  const statements = [];
  for (const name of names) {
    const { all } = (await run(`select quote_literal(json_agg(t)) as all from ${name} t`)) as { all: string };
    statements.push(`delete from ${name};
      insert into ${name} select * from json_populate_recordset(null::${name}, ${all});`);
  }
  return { shape: await shapeOf(run), restore: statements.join('\n') };
}

/** False where it is not as a new one even now: its tables were altered, or somebody is still at it. */
export async function isEmptied(run: Run, { shape, restore }: Pristine): Promise<boolean> {
  const work = (async () => {
    await run(empty + restore);
    return (await shapeOf(run)) === shape;
  })().catch(() => false);
  const tooLong = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => tooLong.resolve(false), quietWithinMs);
  return Promise.race([work, tooLong.promise]).finally(() => clearTimeout(timer));
}

/** A large table keeps its dead rows until it is truncated, a small one is emptied quicker without. */
const empty = `
  reset all; reset role; select pg_advisory_unlock_all(); discard temp; deallocate all;
  set session_replication_role = replica;
  set lock_timeout = ${quietWithinMs};
  do $$ declare one record; filled boolean; begin
    for one in select c.oid::regclass as name, pg_relation_size(c.oid) > 262144 as large from pg_class c
      where c.relkind = 'r' and c.relnamespace in ${ours} and c.relname not in ${seeded}
    loop
      if one.large then execute format('truncate %s cascade', one.name); continue; end if;
      execute format('select exists (select from %s)', one.name) into filled;
      if filled then execute format('delete from %s', one.name); end if;
    end loop;
    perform setval(c.oid, s.seqstart, false) from pg_class c join pg_sequence s on s.seqrelid = c.oid
      where c.relnamespace in ${ours};
  end $$;
  reset session_replication_role; reset lock_timeout;
`;

/** Tables, columns, constraints, functions, triggers, policies, and who may do what. */
async function shapeOf(run: Run): Promise<string> {
  const { shape } = (await run(`
    select md5(string_agg(one, ',' order by one)) as shape from (
      select format('%s %s %s %s %s %s', relname, relkind, relrowsecurity, relforcerowsecurity, reloptions, relacl)
        from pg_class where relnamespace in ${ours}
      union all select format('%s %s %s %s', a.attrelid::regclass, attname, atttypid, attnotnull)
        from pg_attribute a join pg_class c on c.oid = a.attrelid where c.relnamespace in ${ours}
      union all select format('%s %s', conname, pg_get_constraintdef(oid)) from pg_constraint where connamespace in ${ours}
      union all select format('%s %s', proname, prosrc) from pg_proc where pronamespace in ${ours}
      union all select format('%s %s %s', tgrelid::regclass, tgname, tgenabled) from pg_trigger where not tgisinternal
      union all select format('%s %s %s %s', polrelid::regclass, polname, polqual, polwithcheck) from pg_policy
      union all select format('%s %s', nspname, nspacl) from pg_namespace where nspname !~ '^pg_'
      union all select format('%s %s', setrole, setconfig) from pg_db_role_setting
        where setdatabase = (select oid from pg_database where datname = current_database())
      union all select format('%s %s', extname, extversion) from pg_extension
    ) all_of_it (one)`)) as { shape: string };
  return shape;
}
