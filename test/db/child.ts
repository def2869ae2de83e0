/** What the tests of this folder run in processes of their own: `child.ts <verb> <json>`. */
import { createInterface } from 'node:readline';
import { openDatabase, type Database } from '../../src/db/database.ts';
import { lockDirectory } from '../../src/db/directoryLock.ts';
import { openJobs, untilDone } from '../../src/db/jobs.ts';
import { migrate } from '../../src/db/migrate.ts';

const [verb, json = '{}'] = process.argv.slice(2);
const options = JSON.parse(json) as { databaseUrl?: string; dataDir: string; firstId?: number };
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const open = (): Promise<Database> => openDatabase({ ...options, poolSize: 2 });
const onLine = (act: (line: string) => Promise<void> | void) =>
  createInterface({ input: process.stdin }).on('line', (line) => void act(line));

const verbs: Record<string, () => Promise<void>> = {
  /** Opens and stays. */
  hold: async () => {
    await open();
    say('open');
    setInterval(() => {}, 60_000);
  },
  /** Takes the lock at each line, or releases it. */
  take: async () => {
    let held: { release(): void } | undefined;
    say('ready');
    onLine((line) => {
      if (line === 'take') {
        try {
          held = lockDirectory(options.dataDir);
          say('held');
        } catch (error) {
          say((error as Error).message);
        }
      } else {
        held?.release();
        say('released');
      }
    });
  },
  /** Migrates at each line. */
  migrate: async () => {
    const database = await open();
    say('ready');
    onLine(async () => {
      const { applied } = await migrate(database);
      say(JSON.stringify(applied));
    });
  },
  /** Says each number once its row is committed. */
  insert: async () => {
    const { db } = await open();
    say('open');
    for (let id = options.firstId ?? 0; ; id++) {
      await db
        .insertInto('event_sequences')
        .values({ account_id: String(id), last_sequence: id })
        .execute();
      say(String(id));
    }
  },
  /** The whole start, as `main` does it, at the first line. */
  start: async () => {
    say('ready');
    onLine(async () => {
      const startedAt = performance.now();
      const database = await open();
      const { applied } = await migrate(database);
      const errors: string[] = [];
      const queues = { revocations: untilDone, other: { ...untilDone, notify: true } };
      const jobs = await openJobs(database, { queues, onError: (error) => errors.push(error.message) });
      say(JSON.stringify({ applied, errors, ms: performance.now() - startedAt }));
      await jobs.stop();
      await database.close();
      process.exit(0);
    });
  },
};

// Not to outlive a test run that was interrupted.
process.stdin.resume().on('end', () => process.exit());
await verbs[verb ?? '']!();
