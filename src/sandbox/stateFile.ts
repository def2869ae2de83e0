import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { z } from 'zod';

/** What outlives the process: one JSON file with a section per provider. */
export interface StateFile {
  /** Undefined when nothing was kept. Throws, naming the file, when the section is not what was written. */
  read<T>(section: string, shape: z.ZodType<T>): T | undefined;
  /** Whole sections, atomically: a reader, or a crash, sees the old file or the new one. */
  write(section: string, value: unknown): void;
}

/** Without a path nothing is kept. */
export function openStateFile(path: string | undefined): StateFile {
  if (path === undefined) return { read: () => undefined, write: () => undefined };
  const sections = load(path);
  return {
    read(section, shape) {
      if (!(section in sections)) return undefined;
      const parsed = shape.safeParse(sections[section]);
      if (!parsed.success) throw unreadable(path, parsed.error.issues[0]?.message ?? 'unknown form');
      return parsed.data;
    },
    write(section, value) {
      sections[section] = value;
      const temporary = `${path}.${process.pid}.tmp`;
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(temporary, JSON.stringify(sections), { mode: 0o600 });
      renameSync(temporary, path);
    },
  };
}

function load(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    throw unreadable(path, 'not JSON');
  }
  throw unreadable(path, 'not an object');
}

function unreadable(path: string, why: string): Error {
  return new Error(`the sandbox's state file ${path} cannot be used (${why}): delete it to start afresh`);
}
