import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { nodeFlags, nodeSettings, programOf } from './node.ts';

/** A Node process of our own, to be talked to in lines and killed in every way. */
export interface Child {
  pid: number;
  /** The next line of its output; rejects with its error output when it ends first. */
  line(): Promise<string>;
  /** Every line it ever wrote, once it has ended. */
  ended: Promise<{ lines: string[]; code: number | null }>;
  send(line: string): void;
  signal(signal: NodeJS.Signals): void;
}

/** @param script a TypeScript file, e.g. `new URL('x.ts', import.meta.url)` */
export function startChild(script: URL, ...args: string[]): Child {
  const child = spawn(process.execPath, [...nodeFlags, programOf(script.pathname), ...args], {
    env: { ...process.env, ...nodeSettings },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const unread: string[] = [];
  const readers: { resolve(line: string): void; reject(error: Error): void }[] = [];
  let errors = '';
  let over: Error | undefined;
  child.stderr.on('data', (chunk) => (errors += String(chunk)));
  child.stdin.on('error', () => {});
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    const reader = readers.shift();
    if (reader) reader.resolve(line);
    else unread.push(line);
  });
  const ended = new Promise<{ lines: string[]; code: number | null }>((resolve) => {
    child.on('close', (code) => {
      over = new Error(`The process ended with ${code}: ${errors}`);
      for (const reader of readers) reader.reject(over);
      resolve({ lines, code });
    });
  });
  return {
    pid: child.pid!,
    line: () =>
      new Promise((resolve, reject) => {
        const line = unread.shift();
        if (line !== undefined) resolve(line);
        else if (over) reject(over);
        else readers.push({ resolve, reject });
      }),
    ended,
    send: (line) => child.stdin.write(`${line}\n`),
    signal: (signal) => child.kill(signal),
  };
}
