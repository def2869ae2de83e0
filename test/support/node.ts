import { fileURLToPath } from 'node:url';

/**
 * What Node's processes of the tests are started with: code that was compiled once is kept, and WebAssembly is not
 * optimised, which pays only in a process that lives longer. It halves what a start costs.
 */
export const nodeFlags: readonly string[] = ['--liftoff-only'];
export const nodeSettings: Readonly<Record<string, string>> = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL('../../node_modules/.cache/node', import.meta.url)),
};
