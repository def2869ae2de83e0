import type { Config } from '../config.ts';
import type { Database } from '../db/database.ts';
import type { DescribedProvider } from '../providers/configured/load.ts';

/** What an operator's verb is given. Only `ops.ts` opens and closes things. */
export interface Command {
  /** Its words, e.g. `['keys', 'rotate']`. */
  verb: readonly string[];
  /** After the verb, e.g. `<accountId>`; each is required. */
  operands: readonly string[];
  options: Readonly<Record<string, Option>>;
  /** One line. */
  summary: string;
  /** The rest of what `--help` says. */
  details: string;
  run(call: Call): Promise<ExitCode>;
}

export interface Option {
  type: 'boolean' | 'string';
  /** Of a string: what stands for its value in the help. */
  value?: string;
  says: string;
}

export interface Call {
  operands: readonly string[];
  /** By name, without the dashes; absent where not given. */
  options: Readonly<Record<string, string | boolean | undefined>>;
  /** Read at the first call, with all integrations, described ones too. Rejects with `ConfigurationError`. */
  settings(): Promise<{ config: Config; integrations: readonly DescribedProvider[] }>;
  /** Opened at the first call, closed by whoever made the call. Rejects with `ConfigurationError`. */
  open(): Promise<Database>;
  /** One line or several on stdout. Resolves when they are written, so that a slow reader slows us down. */
  print(text: string): Promise<void>;
}

/** 0: done. 1: not done, or not all is well. 2: a wrong command line. */
export type ExitCode = 0 | 1 | 2;

/** A wrong command line. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What others chose may hold a terminal's control characters. */
export function shown(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\ufffd');
}

/** `1 key`, `2 keys`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
