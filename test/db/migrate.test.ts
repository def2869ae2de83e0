import { readdirSync } from 'node:fs';
import { sql } from 'kysely';
import { Migrator, type Migration } from 'kysely/migration';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase, type Database } from '../../src/db/database.ts';
import { isMigrated, lockId, migrate } from '../../src/db/migrate.ts';
import { ConfigurationError } from '../../src/errors.ts';
import { startChild, type Child } from '../support/child.ts';
import { databaseKinds, emptyPostgresUrl } from '../support/databases.ts';

const folder = new URL('../../migrations/', import.meta.url);
const all = readdirSync(folder)
  .toSorted()
  .map((file) => file.replace(/\.ts$/, ''));

describe.each(databaseKinds)('a migrated %s database', (_kind, open) => {
  let database: Database;
  beforeEach(async () => {
    database = await open();
  });
  afterEach(() => database.close());

  it('is migrated, and a second migration does nothing', async () => {
    const logged: string[] = [];
    expect(await isMigrated(database)).toBe(true);
    expect(await migrate(database, (name) => logged.push(name))).toEqual({ applied: [] });
    expect(logged).toEqual([]);
  });

  it('is not migrated by a program that does not know its newest migration, but served', async () => {
    await sql`insert into kysely_migration values ('9999_future', '2030-01-01T00:00:00.000Z')`.execute(
      database.db,
    );
    const refused = migrate(database);
    await expect(refused).rejects.toThrow(ConfigurationError);
    await expect(refused).rejects.toThrow('newer than this program: it has the migration 9999_future');
    expect(await isMigrated(database)).toBe(true);
  });

  it('is not migrated when a migration is missing', async () => {
    await sql`delete from kysely_migration`.execute(database.db);
    expect(await isMigrated(database)).toBe(false);
  });
});

describe('a migration of an empty PostgreSQL database', () => {
  let server: { url: string; drop(): Promise<void> };
  let database: Database;
  let children: Child[];
  beforeEach(async () => {
    server = await emptyPostgresUrl();
    database = await openDatabase({ databaseUrl: server.url, dataDir: '', poolSize: 2 });
    children = [];
  });
  afterEach(async () => {
    for (const child of children) child.signal('SIGKILL');
    await Promise.all(children.map((child) => child.ended));
    await database.close();
    await server.drop();
  });
  const start = async (verb: string) => {
    const json = JSON.stringify({ databaseUrl: server.url, dataDir: '' });
    const child = startChild(new URL('child.ts', import.meta.url), verb, json);
    children.push(child);
    expect(await child.line()).toBe('ready');
    return child;
  };

  it('says what it applied, once', async () => {
    const logged: string[] = [];
    expect(await isMigrated(database)).toBe(false);
    expect(await migrate(database, (name) => logged.push(name))).toEqual({ applied: all });
    expect(logged).toEqual(all);
    expect(await isMigrated(database)).toBe(true);
  });

  it('brings the first release’s database up to date and keeps its rows', async () => {
    const [first = ''] = all;
    const migration = (await import(new URL(`${first}.ts`, folder).href)) as Migration;
    const migrator = new Migrator({
      db: database.db,
      provider: { getMigrations: async () => ({ [first]: migration }) },
    });
    expect((await migrator.migrateToLatest()).error).toBeUndefined();
    await sql`insert into connections (account_id, id, integration_id, status)
      values ('acme', gen_random_uuid(), 'quickbooks', 'ACTIVE')`.execute(database.db);
    expect(await migrate(database)).toEqual({ applied: all.slice(1) });
    const rows = await database.db.selectFrom('connections').select(['account_id', 'status']).execute();
    expect(rows).toEqual([{ account_id: 'acme', status: 'ACTIVE' }]);
  });

  it('is done by exactly one of 8 processes, and by none the second time', { timeout: 120_000 }, async () => {
    const processes = await Promise.all(Array.from({ length: 8 }, () => start('migrate')));
    for (const expected of [
      [JSON.stringify(all), ...Array<string>(7).fill('[]')],
      Array<string>(8).fill('[]'),
    ]) {
      for (const process of processes) process.send('migrate');
      const answers = await Promise.all(processes.map((process) => process.line()));
      expect(answers.toSorted().reverse()).toEqual(expected.toSorted().reverse());
    }
  });

  it('leaves nothing behind when it is killed, and the next one succeeds', { timeout: 60_000 }, async () => {
    for (const killAfterMs of [5, 20, 40, 70, 110]) {
      const child = await start('migrate');
      child.send('migrate');
      await new Promise((resolve) => setTimeout(resolve, killAfterMs));
      child.signal('SIGKILL');
      await child.ended;
    }
    await migrate(database);
    expect(await isMigrated(database)).toBe(true);
    await database.db.selectFrom('webhook_deliveries').selectAll().execute();
  });

  it('changes nothing when it fails, and says why', async () => {
    await sql`create table webhook_deliveries (mine int)`.execute(database.db);
    await expect(migrate(database)).rejects.toThrow('relation "webhook_deliveries" already exists');
    expect(await isMigrated(database)).toBe(false);
    await sql`drop table webhook_deliveries`.execute(database.db);
    expect(await migrate(database)).toEqual({ applied: all });
  });

  it('waits for another one no longer than it was told', async () => {
    await database.db.transaction().execute(async (other) => {
      await sql`select pg_advisory_xact_lock(${sql.lit(lockId)})`.execute(other);
      const refused = migrate(database, undefined, 200);
      await expect(refused).rejects.toThrow(ConfigurationError);
      await expect(refused).rejects.toThrow('more than 0.2 s');
    });
    expect(await migrate(database)).toEqual({ applied: all });
  });

  it('and the whole start succeed in 4 processes together within 10 s', { timeout: 60_000 }, async () => {
    const processes = await Promise.all(Array.from({ length: 4 }, () => start('start')));
    for (const process of processes) process.send('start');
    const answers = await Promise.all(processes.map((process) => process.line()));
    const starts = answers.map(
      (answer) => JSON.parse(answer) as { applied: string[]; errors: string[]; ms: number },
    );
    expect(starts.flatMap((start) => start.errors)).toEqual([]);
    expect(starts.flatMap((start) => start.applied)).toEqual(all);
    expect(Math.max(...starts.map((start) => start.ms))).toBeLessThan(10_000);
    expect((await Promise.all(processes.map((process) => process.ended))).map((end) => end.code)).toEqual(
      Array(4).fill(0),
    );
  });
});
