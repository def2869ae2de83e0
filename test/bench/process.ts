import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const entry = fileURLToPath(new URL('child.ts', import.meta.url));

/**
 * Runs an exported function of a module in a process of its own, where nobody else's garbage, timers and compiled
 * code matter, and where what it leaves running ends with it.
 * @param file the `import.meta.url` of the module that exports `work` under its own name
 * @param input what JSON can hold, as must be what `work` resolves to
 */
export function inOwnProcess<Input, Output>(
  file: string,
  work: (input: Input) => Promise<Output>,
  input: Input,
): Promise<Output> {
  const child = forkNode(entry, [file, work.name, JSON.stringify(input)]);
  return new Promise((resolve, reject) => {
    child.on('message', (message) => resolve((message as { output: Output }).output));
    child.on('error', reject);
    child.on('exit', (code, signal) =>
      reject(new Error(`${work.name} in ${file} ended with ${signal ?? code} and no result`)),
    );
  });
}

/** Its output goes to our standard error: standard output is for results. */
export function forkNode(file: string, args: readonly string[]): ChildProcess {
  return fork(file, args, {
    execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 2, 2, 'ipc'],
  });
}
