import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase, type Database } from '../../src/db/database.ts';
import { openJobs, untilDone, type Jobs, type QueueOptions } from '../../src/db/jobs.ts';
import { databaseKinds } from '../support/databases.ts';
import { fillDataDir } from '../support/migratedDump.ts';

const quick: QueueOptions = {
  retry: { forSeconds: 60, firstDelaySeconds: 1, longestDelaySeconds: 2 },
  timeoutSeconds: 30,
  notify: true,
};

describe.each(databaseKinds)('jobs on the %s database', (_kind, open) => {
  let database: Database;
  let errors: Error[];
  let jobs: Jobs;
  const start = () =>
    openJobs(database, { queues: { quick, untilDone }, onError: (error) => errors.push(error) });
  beforeEach(async () => {
    database = await open();
    errors = [];
    jobs = await start();
  });
  afterEach(async () => {
    await jobs.stop();
    await database.close();
  });
  const send = (data: object) => database.db.transaction().execute((trx) => jobs.send(trx, 'quick', data));

  it('run when their transaction commits and not when it rolls back', async () => {
    const ran: object[] = [];
    await jobs.work('quick', { concurrency: 2 }, async (data: object) => void ran.push(data));
    const failed = database.db.transaction().execute(async (trx) => {
      await jobs.send(trx, 'quick', { rolledBack: true });
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    await send({ committed: 1 });
    await expect.poll(() => ran).toEqual([{ committed: 1 }]);
    const left = () => sql`select 1 from pgboss.job where state <> 'completed'`.execute(database.db);
    await expect.poll(async () => (await left()).rows).toEqual([]);
    expect(errors).toEqual([]);
  });

  it('are tried again after a failure, which is reported without being stored whole', async () => {
    let tries = 0;
    await jobs.work('quick', { concurrency: 1 }, async () => {
      if (++tries < 3) throw Object.assign(new Error(`try ${tries}`), { request: 'Bearer secret' });
    });
    await send({});
    await expect.poll(() => errors.map((error) => error.message), { timeout: 5_000 }).toHaveLength(1);
    const stored = () => sql<{ output: unknown }>`select output from pgboss.job`.execute(database.db);
    await expect.poll(async () => (await stored()).rows).toEqual([{ output: { message: 'try 1' } }]);
    await expect.poll(() => tries, { timeout: 15_000 }).toBe(3);
    expect(errors.map((error) => error.message)).toEqual([
      expect.stringMatching(/^Job \S+ of quick failed \(try 1 of \d+\): try 1$/),
      expect.stringMatching(/^Job \S+ of quick failed \(try 2 of \d+\): try 2$/),
    ]);
  });

  it('run many at a time, but no more than they should', async () => {
    let running = 0;
    let most = 0;
    let done = 0;
    await database.db.transaction().execute(async (trx) => {
      for (let id = 0; id < 20; id++) await jobs.send(trx, 'quick', { id });
    });
    const startedAt = performance.now();
    await jobs.work('quick', { concurrency: 3 }, async () => {
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running--;
      done++;
    });
    await expect.poll(() => done, { timeout: 20_000 }).toBe(20);
    expect(most).toBe(3);
    // One batch per look would take seven looks of 2 s.
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  it('wait for their time, and are stored once for one id', async () => {
    const ran: object[] = [];
    const id = '6a0cf1f4-3a2a-4d0e-9d0f-0d1f5e7d6b11';
    await database.db.transaction().execute(async (trx) => {
      await jobs.send(trx, 'quick', { later: true }, { startAfter: new Date(Date.now() + 3_600_000) });
      await jobs.send(trx, 'quick', { once: true }, { id });
      await jobs.send(trx, 'quick', { once: true }, { id });
    });
    await jobs.work('quick', { concurrency: 2 }, async (data: object) => void ran.push(data));
    await expect.poll(() => ran).toEqual([{ once: true }]);
    const waiting = await sql`select data from pgboss.job where state = 'created'`.execute(database.db);
    expect(waiting.rows).toEqual([{ data: { later: true } }]);
  });

  it('are refused on a queue that was not declared, without waiting for ever', async () => {
    const sent = database.db.transaction().execute((trx) => jobs.send(trx, 'unknown', {}));
    await expect(sent).rejects.toThrow('Queue unknown was not declared to openJobs');
  });

  it('are tried for 30 days, at most an hour apart, before they are given up', async () => {
    await database.db.transaction().execute((trx) => jobs.send(trx, 'untilDone', {}));
    const { rows } = await sql<{ limit: number; longest: number; backoff: boolean; days: number }>`
      select retry_limit as limit, retry_delay_max as longest, retry_backoff as backoff,
        extract(day from keep_until - now())::int as days from pgboss.job`.execute(database.db);
    expect(rows).toEqual([
      { limit: expect.toSatisfy((n) => n > 720 && n < 740), longest: 3600, backoff: true, days: 59 },
    ]);
  });

  it('take new options of their queue at the next start', async () => {
    await jobs.stop();
    const queues = { quick: { ...quick, timeoutSeconds: 7 } };
    jobs = await openJobs(database, { queues, onError: (error) => errors.push(error) });
    await send({});
    const { rows } = await sql<{ expire: number }>`select expire_seconds as expire from pgboss.job`.execute(
      database.db,
    );
    expect(rows).toEqual([{ expire: 7 }]);
  });

  it('that run are waited for by stop', async () => {
    let finished = false;
    let started = false;
    await jobs.work('quick', { concurrency: 1 }, async () => {
      started = true;
      await new Promise((resolve) => setTimeout(resolve, 300));
      finished = true;
    });
    await send({});
    await expect.poll(() => started).toBe(true);
    await jobs.stop();
    expect(finished).toBe(true);
  });
});

it('jobs of the embedded database survive a restart', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'integrations-jobs-'));
  const errors: Error[] = [];
  const start = (database: Database) =>
    openJobs(database, { queues: { quick }, onError: (error) => errors.push(error) });
  await fillDataDir(dataDir);
  const first = await openDatabase({ dataDir, poolSize: 1 });
  const sender = await start(first);
  await first.db.transaction().execute((trx) => sender.send(trx, 'quick', { kept: true }));
  await sender.stop();
  await first.close();

  const second = await openDatabase({ dataDir, poolSize: 1 });
  const worker = await start(second);
  const ran: object[] = [];
  await worker.work('quick', { concurrency: 1 }, async (data: object) => void ran.push(data));
  await expect.poll(() => ran).toEqual([{ kept: true }]);
  await worker.stop();
  await second.close();
  rmSync(dataDir, { recursive: true });
  expect(errors).toEqual([]);
});
