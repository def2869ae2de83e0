import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ConfigurationError } from '../errors.ts';

/**
 * One process per data directory. PGlite locks nothing: two processes on one directory both acknowledge writes, and
 * about half of them are gone at the next start, without an error.
 *
 * Two files lie beside the database. The kernel's lock on `lock.guard` decides: SQLite takes it (Node has no other
 * door to file locks), the kernel frees it at the moment its process dies and not before. So a holder that is stopped
 * or busy keeps it, a dead one's is free at once, a reused pid means nothing, of two takers one wins, and containers
 * that share a volume and a kernel see each other although their pids mean nothing to one another. `lock` is for
 * people and for other machines: it says who holds the directory.
 *
 * The hazard that is left is a directory that two *machines* share. Not every network file system carries locks
 * between them, so a free `lock.guard` proves nothing there, and a `lock` left by another machine is refused, even if
 * that machine is long gone: only a person can know. (Two machines of one name look like one.) Nobody may delete
 * `lock.guard` while it is held: the next process would make and lock a second one.
 */
export interface DirectoryLock {
  /** Twice is fine. */
  release(): void;
}

interface Holder {
  pid: number;
  startedAt: string;
  host: string;
  /** Changes with each start of the kernel; absent where there is no `/proc`. */
  boot?: string;
}

/** SQLite's code for a lock that somebody else holds. */
const sqliteBusy = 5;

/**
 * Takes the lock of an existing directory, or throws at once.
 * @throws {ConfigurationError} naming the holder's pid and the cure
 */
export function lockDirectory(directory: string): DirectoryLock {
  const holderFile = join(directory, 'lock');
  const guard = openGuard(join(directory, 'lock.guard'), directory);
  const self = describeSelf();
  try {
    guard.exec('begin exclusive');
  } catch (error) {
    guard.close();
    throw refusal(error, directory, readHolder(holderFile));
  }
  const left = readHolder(holderFile);
  if (left !== undefined && left.host !== self.host && (left.boot === undefined || left.boot !== self.boot)) {
    guard.close();
    throw new ConfigurationError(
      `DATA_DIR ${directory} was last held by process ${left.pid} on another machine (${left.host}), and whether it ` +
        `still runs cannot be told from here: set DATABASE_URL or another DATA_DIR, or, if it has ended, delete ${holderFile}`,
    );
  }

  try {
    // Renamed into place, so that no reader sees half of it.
    const draft = `${holderFile}.${self.pid}`;
    writeFileSync(draft, `${JSON.stringify(self)}\n`);
    renameSync(draft, holderFile);
  } catch (error) {
    guard.close();
    throw refusal(error, directory, undefined);
  }

  let held = true;
  const release = () => {
    if (!held) return;
    held = false;
    process.removeListener('exit', release);
    rmSync(holderFile, { force: true });
    guard.close();
  };
  // Also keeps the guard reachable: one that is garbage collected closes itself and lets go.
  process.once('exit', release);
  return { release };
}

function openGuard(path: string, directory: string): DatabaseSync {
  try {
    return new DatabaseSync(path, { timeout: 0 });
  } catch (error) {
    throw refusal(error, directory, undefined);
  }
}

function refusal(error: unknown, directory: string, holder: Holder | undefined): ConfigurationError {
  const { errcode, message } = error as Error & { errcode?: number };
  if (errcode !== sqliteBusy)
    return new ConfigurationError(
      `DATA_DIR ${directory} cannot be locked: ${message}. It must be on a local disk and writable`,
    );
  const who = holder
    ? `process ${holder.pid} (on ${holder.host}, since ${holder.startedAt})`
    : 'another process';
  return new ConfigurationError(
    `DATA_DIR ${directory} is in use by ${who}: stop it, or set DATABASE_URL to share one PostgreSQL, or another DATA_DIR`,
  );
}

function readHolder(path: string): Holder | undefined {
  try {
    const holder = JSON.parse(readFileSync(path, 'utf8')) as Holder;
    return Number.isInteger(holder.pid) ? holder : undefined;
  } catch {
    return undefined;
  }
}

function describeSelf(): Holder {
  const startedAt = new Date(performance.timeOrigin).toISOString();
  const self: Holder = { pid: process.pid, startedAt, host: hostname() };
  try {
    self.boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    // Not Linux.
  }
  return self;
}
