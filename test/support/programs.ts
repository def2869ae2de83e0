import { mkdir, readdir, rm } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';
import type { TestProject } from 'vitest/node';
import { bundledAs, bundleFolders, bundlesOfRun, root } from './node.ts';

/**
 * Puts each program that tests start many times into a few files, once for a run; `programOf` finds them. Of what a
 * start of the product takes, more than half is finding and reading 1,700 modules.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = `${bundleFolders}/${process.pid}`;
  await removeLeftovers();
  await bundle(folder);
  project.onTestsRerun(() => bundle(folder));
  process.env[bundlesOfRun] = folder;
  return () => rm(folder, { recursive: true, force: true });
}

/** Of runs that were killed. */
async function removeLeftovers(): Promise<void> {
  await mkdir(bundleFolders, { recursive: true });
  for (const name of await readdir(bundleFolders))
    if (!isAlive(Number(name))) await rm(`${bundleFolders}/${name}`, { recursive: true, force: true });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function bundle(folder: string): Promise<void> {
  const build = await rolldown({
    cwd: root,
    platform: 'node',
    input: Object.fromEntries([...bundledAs].map(([file, bundle]) => [bundle, file])),
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
    ...{ dir: folder, format: 'esm' },
    ...{ entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs' },
  });
}
