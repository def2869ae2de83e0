import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { migratedDataDir } from './migratedDump.ts';
import { nodeFlags, nodeSettings, programOf } from './node.ts';

/** The product as its user runs it: its own process, real ports, nothing of it imported here. */
export interface Product {
  url: string;
  /** Empty where the sandbox is off. */
  sandboxUrl: string;
  dataDir: string;
  pid: number;
  /** Everything that it has printed. */
  output(): string;
  graphql(query: string, variables?: object, headers?: Record<string, string>): Promise<GraphQLAnswer>;
  /** Resolves with the exit code once the process has ended. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  /** Deletes the data directory as well. */
  remove(): Promise<void>;
}

export interface GraphQLAnswer {
  status: number;
  data: any; // oxlint-disable-line typescript/no-explicit-any -- an answer's shape is what a test asserts
  errors?: {
    message: string;
    path?: (string | number)[];
    extensions: { code: string } & Record<string, unknown>;
  }[];
}

/** What users run. */
export const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/**
 * @param dataDir default: a new one, migrated already
 * @param program a `src/main.ts`; default: this one's, bundled where this run has done that
 */
export async function startProduct(
  settings: Record<string, string> = {},
  dataDir?: string,
  program = programOf(main),
): Promise<Product> {
  const directory = dataDir ?? (await migratedDataDir());
  const child = runMain({ PORT: '0', SANDBOX_PORT: '0', DATA_DIR: directory, ...settings }, [], program);
  const ready = await new Promise<{ port: number; sandbox?: string }>((resolve, reject) => {
    child.lines((line) => {
      if (line.startsWith('{') && line.includes('"msg":"ready"'))
        resolve(JSON.parse(line) as { port: number; sandbox?: string });
    });
    void child.exited.then((code) => reject(new Error(`the product ended with ${code}: ${child.output()}`)));
  });
  const url = `http://127.0.0.1:${ready.port}`;
  return {
    url,
    sandboxUrl: ready.sandbox ?? '',
    dataDir: directory,
    pid: child.pid,
    output: child.output,
    async graphql(query, variables = {}, headers = { 'x-account-id': 'demo' }) {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ query, variables }),
      });
      return { status: response.status, ...((await response.json()) as Omit<GraphQLAnswer, 'status'>) };
    },
    stop(signal = 'SIGTERM') {
      child.kill(signal);
      return child.exited;
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** Runs the program with nothing of the test's own environment but what it needs to start. */
export function runMain(settings: Record<string, string>, args: string[] = [], program = programOf(main)) {
  const child = spawn(process.execPath, [...nodeFlags, program, ...args], {
    env: { PATH: process.env.PATH, TZ: 'UTC', ...nodeSettings, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const listeners: ((line: string) => void)[] = [];
  let rest = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8');
  child.stderr.on('data', (text: string) => (output += text));
  child.stdout.on('data', (text: string) => {
    output += text;
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) for (const listener of listeners) listener(line);
  });
  return {
    pid: child.pid!,
    output: () => output,
    lines: (listener: (line: string) => void) => void listeners.push(listener),
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    exited: once(child, 'close').then(([code]) => code as number | null),
  };
}
