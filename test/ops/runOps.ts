import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { nodeFlags, nodeSettings, programOf } from '../support/node.ts';

/** What users run. */
export const ops = fileURLToPath(new URL('../../src/ops/ops.ts', import.meta.url));

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the operator's command with nothing of the test's own environment but what it needs to start. */
export function startOps(settings: Record<string, string>, ...args: string[]) {
  const child = spawn(process.execPath, [...nodeFlags, programOf(ops), ...args], {
    env: { PATH: process.env.PATH, TZ: 'UTC', ...nodeSettings, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  const watchers: (() => void)[] = [];
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
      for (const watch of watchers) watch();
    });
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, ...output })));
  return {
    ended,
    kill: () => child.kill('SIGKILL'),
    /** Resolves once it has printed so many lines, or has ended. */
    printed: (lines: number) =>
      Promise.race([
        ended,
        new Promise<void>((resolve) => {
          watchers.push(() => {
            if (output.stdout.split('\n').length > lines) resolve();
          });
        }),
      ]),
  };
}

export const runOps = (settings: Record<string, string>, ...args: string[]): Promise<Ended> =>
  startOps(settings, ...args).ended;
