import type { PGlite } from '@electric-sql/pglite';
import { Kysely, PGliteDialect, sql, type Dialect, type Logger } from 'kysely';
import { openForAccount } from './accountDialect.ts';
import { openEmbedded } from './embedded.ts';
import { openPool, PoolDialect } from './postgres.ts';
import { raiseWall } from './secondWall.ts';
import type { Tables } from './tables.ts';

/**
 * The database, embedded or PostgreSQL, with one set of types for both: `timestamptz` is a Date, `bytea` a Buffer,
 * `int8` a number, `jsonb` parsed, an array an array.
 *
 * The embedded one has a single connection and runs on this thread. A transaction holds it: a query on `db` from
 * inside a transaction waits for itself for ever, so pass the transaction on. A long query stops everything else, and
 * `statement_timeout` does not help.
 */
export type Database = EmbeddedDatabase | PostgresDatabase;

interface Common {
  /** Past all walls: for what is looked for in all accounts. */
  db: Kysely<Tables>;
  /** Past all walls as well, and keeps what is named (see `statements.ts`), which Kysely's own driver does not. */
  named: Kysely<Tables>;
  /**
   * For one account: where the second wall stands (see `secondWall.ts`), no statement of it sees or changes another's
   * rows, whatever it forgets to say.
   */
  forAccount(accountId: string): Kysely<Tables>;
  /** After migrating. False: it cannot be raised here, and `forAccount` is `db`. */
  raiseWall(): Promise<boolean>;
  /** One round trip; rejects when the database cannot be reached. */
  ping(): Promise<void>;
  /** Waits for what is running. Twice is fine. */
  close(): Promise<void>;
}
export interface EmbeddedDatabase extends Common {
  kind: 'embedded';
  /** Only for `jobs.ts` and tests: everybody else would bypass the queue for the one connection. */
  pglite: PGlite;
}
export interface PostgresDatabase extends Common {
  kind: 'postgres';
  databaseUrl: string;
}

export interface DatabaseOptions {
  /** PostgreSQL; without it the embedded database in `dataDir`. */
  databaseUrl?: string | undefined;
  /** Created with mode 0700 where it is missing. */
  dataDir: string;
  /** Most clients at one time; `jobs.ts` opens up to three of its own beside them. */
  poolSize: number;
  /** A client lost its server. The pool replaces it; default: nothing. */
  onPoolError?: (error: Error) => void;
  /** Called with the text and values of every statement, failed ones too, but not for begin, commit and rollback. */
  onQuery?: (sql: string, values: readonly unknown[]) => void;
  /** The embedded database, open already, with the `pgliteOptions` of `embedded.ts`; `dataDir` means nothing then. For tests. */
  pglite?: PGlite;
}

/** @throws {ConfigurationError} one line that names the setting and the cure */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { databaseUrl, dataDir, poolSize, onPoolError = () => {}, onQuery } = options;
  const log = onQuery ? { log: statementLog(onQuery) } : {};

  if (databaseUrl !== undefined) {
    const pool = await openPool(databaseUrl, poolSize, onPoolError);
    const end = async () => {
      if (!pool.ending) await pool.end();
    };
    const dialect = new PoolDialect({ pool });
    const whole = common(dialect, log, end);
    const forAccount = openForAccount(dialect, pool, log);
    let raised = false;
    return {
      ...{ kind: 'postgres', databaseUrl, ...whole, named: forAccount(undefined) },
      forAccount: (accountId) => forAccount(raised ? accountId : undefined),
      raiseWall: async () => (raised = await raiseWall(whole.db)),
    };
  }

  const { pglite, release } = options.pglite
    ? { pglite: options.pglite, release: () => {} }
    : await openEmbedded(dataDir);
  const end = async () => {
    try {
      if (!pglite.closed) await pglite.close();
    } finally {
      release();
    }
  };
  const whole = common(new PGliteDialect({ pglite }), log, end);
  // One process, one user, who owns everything: the wall would stand open.
  const embedded = {
    named: whole.db,
    forAccount: () => whole.db,
    raiseWall: () => Promise.resolve(false),
  };
  return { kind: 'embedded', pglite, ...whole, ...embedded };
}

function common(dialect: Dialect, log: { log?: Logger }, end: () => Promise<void>) {
  const db = new Kysely<Tables>({ dialect, ...log });
  const close = async () => {
    try {
      await db.destroy();
    } finally {
      // Kysely ends only what it has used.
      await end();
    }
  };
  let closed: Promise<void> | undefined;
  return {
    db,
    ping: async () => {
      await sql`select 1`.execute(db);
    },
    close: () => (closed ??= close()),
  };
}

/** PGlite begins and ends transactions without a statement of ours, `pg` with one: neither is reported. */
function statementLog(onQuery: (sql: string, values: readonly unknown[]) => void): Logger {
  return ({ query }) => {
    if (!/^(begin\b|commit$|rollback$|start transaction\b|set local )/.test(query.sql))
      onQuery(query.sql, query.parameters);
  };
}
