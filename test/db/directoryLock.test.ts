import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockDirectory, type DirectoryLock } from '../../src/db/directoryLock.ts';
import { startChild, type Child } from '../support/child.ts';

describe('the lock of a data directory', () => {
  let dataDir: string;
  let children: Child[];
  let locks: DirectoryLock[];
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'integrations-lock-'));
    children = [];
    locks = [];
  });
  afterEach(async () => {
    for (const lock of locks) lock.release();
    for (const child of children) child.signal('SIGKILL');
    await Promise.all(children.map((child) => child.ended));
    rmSync(dataDir, { recursive: true });
  });

  const lock = () => {
    const taken = lockDirectory(dataDir);
    locks.push(taken);
    return taken;
  };
  const startTaker = async () => {
    const child = startChild(new URL('child.ts', import.meta.url), 'take', JSON.stringify({ dataDir }));
    children.push(child);
    expect(await child.line()).toBe('ready');
    return child;
  };
  const startHolder = async () => {
    const child = await startTaker();
    child.send('take');
    expect(await child.line()).toBe('held');
    return child;
  };
  const claimed = (change: object) =>
    writeFileSync(
      join(dataDir, 'lock'),
      JSON.stringify({ pid: process.ppid, startedAt: 'then', host: 'elsewhere', boot: 'another', ...change }),
    );

  it('refuses a second process, naming the holder and the cure', async () => {
    const holder = await startHolder();
    expect(lock).toThrow(
      new RegExp(`^DATA_DIR ${dataDir} is in use by process ${holder.pid} .*DATABASE_URL.*DATA_DIR$`),
    );
  });

  it('refuses a second holder in the same process', () => {
    lock();
    expect(lock).toThrow(`process ${process.pid} `);
  });

  it('is kept by a holder that is stopped', async () => {
    const holder = await startHolder();
    holder.signal('SIGSTOP');
    const state = () => /^State:\s+(\w)/m.exec(readFileSync(`/proc/${holder.pid}/status`, 'utf8'))?.[1];
    await expect.poll(state).toBe('T');
    for (let attempt = 0; attempt < 20; attempt++) expect(lock).toThrow(`process ${holder.pid} `);
    holder.signal('SIGCONT');
    holder.send('release');
    expect(await holder.line()).toBe('released');
  });

  it('is free when its holder was killed, for exactly one of many takers', async () => {
    const takers = await Promise.all(Array.from({ length: 4 }, startTaker));
    for (let round = 0; round < 10; round++) {
      const victim = await startHolder();
      victim.signal('SIGKILL');
      await victim.ended;
      for (const taker of takers) taker.send('take');
      const answers = await Promise.all(takers.map((taker) => taker.line()));
      expect(answers.filter((answer) => answer === 'held')).toHaveLength(1);
      const winner = takers[answers.indexOf('held')]!;
      expect(JSON.parse(readFileSync(join(dataDir, 'lock'), 'utf8'))).toMatchObject({ pid: winner.pid });
      winner.send('release');
      expect(await winner.line()).toBe('released');
    }
  });

  it('is free when a dead holder left the pid of a process that lives', () => {
    const here = lock();
    const self = JSON.parse(readFileSync(join(dataDir, 'lock'), 'utf8')) as object;
    here.release();
    claimed({ ...self, pid: process.ppid, startedAt: 'long ago' });
    expect(lock).not.toThrow();
  });

  it('is refused when another machine left it, until a person deletes the file', () => {
    claimed({});
    expect(lock).toThrow(/process \d+ on another machine \(elsewhere\).*delete .*lock$/);
    expect(existsSync(join(dataDir, 'lock'))).toBe(true);
    rmSync(join(dataDir, 'lock'));
    expect(lock).not.toThrow();
  });

  it.runIf(existsSync('/proc'))('is free when a container on this machine left it', () => {
    claimed({ boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() });
    expect(lock).not.toThrow();
  });

  it('is free when half a file was left', () => {
    writeFileSync(join(dataDir, 'lock'), '{"pid":');
    expect(lock).not.toThrow();
  });

  it('is given back by release, once, and by an ordinary exit', async () => {
    const first = lock();
    first.release();
    expect(existsSync(join(dataDir, 'lock'))).toBe(false);
    lock();
    first.release();
    expect(existsSync(join(dataDir, 'lock'))).toBe(true);
    locks.pop()!.release();
    const url = new URL('../../src/db/directoryLock.ts', import.meta.url).href;
    spawnSync(process.execPath, [
      '-e',
      `import('${url}').then((m) => m.lockDirectory('${dataDir}')).then(() => process.exit())`,
    ]);
    expect(existsSync(join(dataDir, 'lock'))).toBe(false);
    expect(statSync(join(dataDir, 'lock.guard')).isFile()).toBe(true);
  });
});
