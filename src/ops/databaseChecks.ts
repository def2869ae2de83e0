import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import type { Config } from '../config.ts';
import type { Database } from '../db/database.ts';
import { cureOfNoWall, currentUser, wallStands } from '../db/secondWall.ts';
import { ConfigurationError } from '../errors.ts';
import type { MasterKeys } from '../oauth/encryption.ts';
import { counted } from './command.ts';
import { fail, ok, warn, type Finding } from './finding.ts';
import { checkKeys, checkSealedValues } from './keyChecks.ts';
import { findMasterKeys } from './masterKeys.ts';
import { readSchemaState } from './schema.ts';

const strikingMs = 2_000;
const brokenMs = 60_000;

export async function* checkDatabase(config: Config, open: () => Promise<Database>): AsyncGenerator<Finding> {
  let master: MasterKeys | undefined;
  try {
    master = await findMasterKeys(config);
  } catch (error) {
    yield fail('keys', messageOf(error), 'correct it as the service has it');
    return;
  }
  // Opening would make it.
  if (config.databaseUrl === undefined && !existsSync(join(config.dataDir, 'db', 'PG_VERSION'))) {
    yield ok('database', `none yet in DATA_DIR ${config.dataDir}: the first start makes it`);
    return;
  }
  let database: Database;
  try {
    database = await open();
  } catch (error) {
    const message = messageOf(error);
    yield /is in use by/.test(message)
      ? warn('database', message, 'while that process runs, its GET /readyz tells how it is')
      : fail('database', message, 'the service would not start either');
    return;
  }
  try {
    yield* checkContents(database, master);
  } catch (error) {
    yield fail(
      'database',
      `a statement failed: ${(error as Error).message}`,
      'look at the log of the database',
    );
  }
}

async function* checkContents(database: Database, master: MasterKeys | undefined): AsyncGenerator<Finding> {
  yield await checkVersion(database);
  const schema = await checkSchema(database);
  yield schema;
  yield await checkClock(database);
  if (schema.level === 'ok' && database.kind === 'postgres') yield await checkWall(database);
  if (schema.level !== 'ok') return;
  yield* checkKeys(database.db, master);
  if (master) yield await checkSealedValues(database.db, master);
}

function messageOf(error: unknown): string {
  if (error instanceof ConfigurationError) return error.message;
  throw error;
}

async function checkVersion({ kind, db }: Database): Promise<Finding> {
  const { rows } = await sql<{
    version: string;
  }>`select current_setting('server_version') as version`.execute(db);
  const name = kind === 'embedded' ? 'embedded, PostgreSQL' : 'PostgreSQL';
  return ok('database', `${name} ${rows[0]!.version}`);
}

async function checkSchema({ db }: Database): Promise<Finding> {
  const { applied, missing, unknown } = await readSchemaState(db);
  if (unknown.length > 0)
    return fail(
      'migrations',
      `the database is newer than this program: it has ${unknown.join(', ')}`,
      'run the version that brought it',
    );
  if (applied.length === 0)
    return warn('migrations', 'the database is empty', 'npm start fills it, or npm run ops -- migrate');
  if (missing.length > 0)
    return fail(
      'migrations',
      `${missing.join(', ')} is missing`,
      'npm run ops -- migrate, or start this version',
    );
  return ok('migrations', `all ${counted(applied.length, 'migration')} applied`);
}

/** Looks only: the start raises the wall where it may. */
async function checkWall({ db }: Database): Promise<Finding> {
  if (await wallStands(db))
    return ok('second wall', 'row-level security holds each statement of an account to its rows');
  const user = await currentUser(db);
  return warn(
    'second wall',
    `row-level security is off: ${user} may not use its role`,
    `the start mends it if ${user} may create roles; otherwise an administrator runs ${cureOfNoWall(user)}`,
  );
}

async function checkClock({ kind, db }: Database): Promise<Finding> {
  if (kind === 'embedded') return ok('clock', "the database's is this machine's");
  const askedAt = performance.now();
  const { rows } = await sql<{ ms: number }>`
    select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms`.execute(db);
  return judgeClock(Date.now() - (performance.now() - askedAt) / 2 - rows[0]!.ms);
}

/** @param aheadMs of the database's clock; negative: behind it */
export function judgeClock(aheadMs: number): Finding {
  const apartMs = Math.abs(aheadMs);
  const message = `this machine's is ${(apartMs / 1_000).toFixed(1)} s ${aheadMs > 0 ? 'ahead of' : 'behind'} the database's`;
  if (apartMs > brokenMs) return fail('clock', message, 'set it right, and run NTP on both machines');
  if (apartMs > strikingMs) return warn('clock', message, 'run NTP on both machines');
  return ok('clock', message);
}
