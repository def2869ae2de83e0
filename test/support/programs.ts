import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';
import type { TestProject } from 'vitest/node';
import { bundledAs, bundles, bundlesAreMade, root } from './node.ts';

/**
 * Puts each program that tests start many times into a few files, once for a run; `programOf` finds them. Of what a
 * start of the product takes, more than half is finding and reading 1,700 modules.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await bundle();
  project.onTestsRerun(bundle);
  process.env[bundlesAreMade] = 'yes';
  return () => rm(bundles, { recursive: true, force: true });
}

async function bundle() {
  const build = await rolldown({
    cwd: root,
    platform: 'node',
    input: Object.fromEntries([...bundledAs].map(([file, bundle]) => [basename(bundle, '.mjs'), file])),
    // Reads files that lie beside its own.
    external: ['@electric-sql/pglite'],
    plugins: [
      {
        name: 'keep the paths of the sources',
        transform: (code, id) =>
          id.startsWith(root) && !id.includes('node_modules') && code.includes('import.meta.url')
            ? code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id)))
            : undefined,
      },
    ],
    logLevel: 'silent',
  });
  // By its name Node knows a module: it need not look.
  await build.write({
    ...{ dir: bundles, format: 'esm' },
    ...{ entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs' },
  });
}
