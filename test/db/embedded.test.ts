import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { startChild, type Child } from '../support/child.ts';
import { fillDataDir } from '../support/migratedDump.ts';

describe('the embedded database on disk', () => {
  let parent: string;
  let dataDir: string;
  let children: Child[];
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'integrations-embedded-'));
    dataDir = join(parent, 'made', 'here');
    children = [];
  });
  afterEach(async () => {
    for (const child of children) child.signal('SIGKILL');
    await Promise.all(children.map((child) => child.ended));
    rmSync(parent, { recursive: true });
  });

  const start = (verb: string, more: object = {}) => {
    const child = startChild(
      new URL('child.ts', import.meta.url),
      verb,
      JSON.stringify({ dataDir, ...more }),
    );
    children.push(child);
    return child;
  };
  const make = () => fillDataDir(dataDir);
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

  it('refuses a second process within a second, until the first is gone', async () => {
    await make();
    const holder = start('hold');
    expect(await holder.line()).toBe('open');
    const startedAt = performance.now();
    await expect(openDatabase({ dataDir, poolSize: 1 })).rejects.toThrow(`process ${holder.pid} `);
    expect(performance.now() - startedAt).toBeLessThan(1_000);

    holder.signal('SIGKILL');
    await holder.ended;
    const next = await openDatabase({ dataDir, poolSize: 1 });
    await next.ping();
    await next.close();
    expect(existsSync(join(dataDir, 'lock'))).toBe(false);
  });

  it('loses no acknowledged row to kill -9 under load', async () => {
    await make();
    const acknowledged: string[] = [];
    for (let round = 0; round < 5; round++) {
      const child = start('insert', { firstId: round * 1_000_000 });
      expect(await child.line()).toBe('open');
      await child.line();
      await pause(100 + Math.random() * 400);
      child.signal('SIGKILL');
      acknowledged.push(...(await child.ended).lines.slice(1));
    }
    const startedAt = performance.now();
    const database = await openDatabase({ dataDir, poolSize: 1 });
    const rows = await database.db.selectFrom('event_sequences').select('account_id').execute();
    const tookMs = performance.now() - startedAt;
    await database.close();
    const stored = new Set(rows.map((row) => row.account_id));
    expect(acknowledged.length).toBeGreaterThan(100);
    expect(acknowledged.filter((id) => !stored.has(id))).toEqual([]);
    expect(tookMs).toBeLessThan(10_000);
  });

  it(
    'starts after its first start was killed half way, private to its user',
    { timeout: 60_000 },
    async () => {
      const first = start('hold');
      await expect
        .poll(() => existsSync(join(dataDir, 'db', 'PG_VERSION')), { timeout: 30_000, interval: 1 })
        .toBe(true);
      first.signal('SIGKILL');
      await first.ended;
      expect(existsSync(join(dataDir, 'db.creating'))).toBe(true);
      // What a kill a few milliseconds earlier leaves.
      rmSync(join(dataDir, 'db', 'global', 'pg_control'), { force: true });

      expect(await start('hold').line()).toBe('open');
      expect(existsSync(join(dataDir, 'db.creating'))).toBe(false);
      for (const directory of [dataDir, join(dataDir, 'db')])
        expect(statSync(directory).mode & 0o777).toBe(0o700);
    },
  );

  it('says in one line that its files are damaged', async () => {
    await make();
    rmSync(join(dataDir, 'db', 'global', 'pg_control'));
    await expect(openDatabase({ dataDir, poolSize: 1 })).rejects.toThrow(
      new RegExp(
        `^The embedded database in ${dataDir}/db cannot be opened: .{1,200}; restore a copy of DATA_DIR`,
      ),
    );
    expect(existsSync(join(dataDir, 'lock'))).toBe(false);
  });

  it('says which directory it cannot make', async () => {
    dataDir = '/dev/null/data';
    await expect(openDatabase({ dataDir, poolSize: 1 })).rejects.toThrow(
      /^DATA_DIR \/dev\/null\/data cannot be created: /,
    );
  });
});
