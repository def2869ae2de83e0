import { PostgresAdapter, PostgresDialect } from 'kysely';
import pg from 'pg';
import { systemClock } from '../clock.ts';
import { ConfigurationError } from '../errors.ts';

export const applicationName = 'integrations-subgraph';
const oldestVersion = 15;
const startingUp = '57P03';
const startingUpWaitMs = 10_000;
const connectTimeoutMs = 5_000;
/** Server side; `migrate` lifts it for itself. Every statement of ours is bounded by its shape: this is the last resort. */
const statementTimeoutMs = 30_000;
const idleInTransactionTimeoutMs = 60_000;

/**
 * Opens a pool of at most `poolSize` clients and proves that the server is there, lets us in and is new enough.
 * @throws {ConfigurationError} one line with host, port and database, never the password
 */
export async function openPool(
  databaseUrl: string,
  poolSize: number,
  onError: (error: Error) => void,
): Promise<pg.Pool> {
  if (!URL.canParse(databaseUrl)) throw new ConfigurationError('DATABASE_URL is not a URL');
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: poolSize,
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
    keepAlive: true,
    types: { getTypeParser },
  });
  // A client whose server goes away emits `error`, and unheard that ends the process. The pool listens only to idle
  // clients, so a restart of PostgreSQL during a transaction would be heard by nobody.
  pool.on('connect', (client) => client.on('error', onError));
  pool.on('error', () => {});
  try {
    const version = await serverVersion(pool);
    if (!(version >= oldestVersion))
      throw new ConfigurationError(
        `DATABASE_URL leads to PostgreSQL ${version} (${place(databaseUrl)}): ${oldestVersion} or newer is needed`,
      );
    return pool;
  } catch (error) {
    await pool.end();
    throw error instanceof ConfigurationError ? error : refusal(error as PostgresError, databaseUrl);
  }
}

async function serverVersion(pool: pg.Pool): Promise<number> {
  const giveUpAt = systemClock.monotonic() + startingUpWaitMs;
  for (;;) {
    try {
      const { rows } = await pool.query<{ server_version_num: string }>('show server_version_num');
      return Math.floor(Number(rows[0]?.server_version_num) / 10_000);
    } catch (error) {
      if ((error as PostgresError).code !== startingUp || systemClock.monotonic() > giveUpAt) throw error;
      await systemClock.sleep(200);
    }
  }
}

type PostgresError = Error & { code?: string };

const cures: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there; start PostgreSQL or correct DATABASE_URL',
  ENOTFOUND: 'no such host; correct DATABASE_URL',
  EAI_AGAIN: 'the name could not be looked up; check the network or correct DATABASE_URL',
  ENOENT: 'no such socket; start PostgreSQL or correct DATABASE_URL',
  [startingUp]: `it was still starting or stopping after ${startingUpWaitMs / 1000} s; try again when it accepts connections`,
  '28P01': 'it refused the password; correct the user or password in DATABASE_URL',
  '28000': 'it refused the user; correct DATABASE_URL or pg_hba.conf',
  '3D000': 'it has no such database; create it or correct DATABASE_URL',
  '53300': 'it has no connection left; lower DATABASE_POOL_SIZE or raise max_connections',
};

function refusal(error: PostgresError, databaseUrl: string): ConfigurationError {
  const reason = cures[error.code ?? ''] ?? `${error.message}; correct DATABASE_URL or the server`;
  return new ConfigurationError(`DATABASE_URL: PostgreSQL cannot be used (${place(databaseUrl)}): ${reason}`);
}

function place(databaseUrl: string): string {
  const { host, port, database } = new pg.Client({ connectionString: databaseUrl });
  return `host ${host}, port ${port}, database ${database ?? ''}`;
}

type Parse = (text: string) => unknown;

/** What `pg` would read otherwise, or slower. */
function getTypeParser(oid: number, format?: 'text' | 'binary'): Parse {
  const usual = pg.types.getTypeParser(oid, format) as Parse;
  if (format === 'binary') return usual;
  if (oid === pg.types.builtins.INT8) return parseInt8;
  return oid === pg.types.builtins.TIMESTAMPTZ ? (text) => parseTimestamp(text) ?? usual(text) : usual;
}

/**
 * `int8` as a number, which every count and sequence of ours fits; past 2^53 as a bigint, never rounded. `pg` would
 * give strings, PGlite gives what is said here.
 */
function parseInt8(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

/** In half the time, which is a sixth of what a list of connections takes. Undefined: years before 1000, infinity. */
function parseTimestamp(text: string): Date | undefined {
  const date = text.startsWith('0') ? undefined : new Date(text);
  return date && Number.isNaN(date.getTime()) ? undefined : date;
}

/**
 * Without Kysely's own lock for migrations: it belongs to the session, so a migration that fails would leave it on a
 * client that goes back to the pool, and releasing it in the failed transaction hides why it failed. `migrate` takes
 * one that ends with the transaction.
 */
export class PoolDialect extends PostgresDialect {
  override createAdapter(): PostgresAdapter {
    return new LockFreeAdapter();
  }
}

class LockFreeAdapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}
