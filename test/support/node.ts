import { fileURLToPath } from 'node:url';

/** The repository's, with a slash at its end. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * What Node's processes of the tests are started with: code that was compiled once is kept, and WebAssembly is not
 * optimised, which pays only in a process that lives longer. It halves what a start costs.
 */
export const nodeFlags: readonly string[] = ['--liftoff-only'];
export const nodeSettings: Readonly<Record<string, string>> = {
  NODE_COMPILE_CACHE: `${root}node_modules/.cache/node`,
};

/** Where the bundles of a run lie, each run's in a folder of its own. Packages must be found from there. */
export const bundleFolders = `${root}node_modules/.cache/programs`;
/** The folder, in a run of tests that has made them. */
export const bundlesOfRun = 'TESTS_BUNDLES';
/** The programs that tests start many times, and what each is bundled as. */
export const bundledAs: ReadonlyMap<string, string> = new Map(
  [
    'src/main.ts',
    'src/ops/ops.ts',
    'test/oauth/refreshingChild.ts',
    'test/support/rotation/serviceAtWork.ts',
    'test/calls/child.ts',
    'test/db/child.ts',
    'test/support/edgeLoad/badTraffic.ts',
    'test/support/edgeLoad/goodTraffic.ts',
  ].map((path) => [`${root}${path}`, path.replaceAll('/', '-').replace(/\.ts$/, '')]),
);
/** @returns what Node is to run for a program: its bundle, where this run has made one; else the file itself */
export function programOf(file: string): string {
  const folder = process.env[bundlesOfRun];
  const bundle = bundledAs.get(file);
  return folder && bundle ? `${folder}/${bundle}.mjs` : file;
}
