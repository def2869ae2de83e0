/**
 * Runs before every npm script: installs what package-lock.json names and node_modules lacks, so that `npm start` and
 * `npm test` work in a fresh clone and after a pull. Plain JavaScript without dependencies, because it must run on
 * whatever Node the machine has (20 or newer); the scripts themselves run on the Node 24 that this installs.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const neededMajor = 24;

/**
 * In production, development dependencies are left out, unless the machine's own Node is too old: the right one is
 * among them. When this runs on the installed one, the machine's is unknown, so that it stays.
 */
const production =
  process.env.NODE_ENV === 'production' && major(process.versions.node) >= neededMajor && !isInstalledNode();

const missing = missingPackages();
if (missing.length > 0) install(missing);
if (!production && major(process.versions.node) < neededMajor && !existsSync(join(modules, '.bin', 'node')))
  stop(
    `Node ${neededMajor} was not installed: npm may be set to ignore-scripts. Allow scripts, or use Node ${neededMajor}.`,
  );

function missingPackages() {
  const wanted = readPackages(join(root, 'package-lock.json'));
  if (!wanted) stop('package-lock.json is missing or cannot be read');
  const present = readPackages(join(modules, '.package-lock.json')) ?? {};
  // A link is to a folder of the repository, whose own entry says what it is for.
  return Object.entries(wanted)
    .filter(([path, entry]) => path !== '' && isNeeded(entry.link ? wanted[entry.resolved] : entry))
    .filter(([path, entry]) => present[path]?.version !== entry.version || !existsSync(join(root, path)))
    .map(([path]) => path);
}

/** npm leaves an optional package out for reasons that only it knows, unless the platform is named and is ours. */
function isNeeded({ dev, optional, devOptional, os, cpu, libc }) {
  if (dev && production) return false;
  if (!optional && !devOptional) return true;
  return (
    os !== undefined &&
    matches(os, () => process.platform) &&
    matches(cpu, () => process.arch) &&
    matches(libc, currentLibc)
  );
}

function matches(allowed, current) {
  if (allowed === undefined) return true;
  const name = current();
  const refused = allowed.filter((entry) => entry.startsWith('!'));
  return refused.length > 0 ? !refused.includes(`!${name}`) : allowed.includes(name);
}

function currentLibc() {
  if (process.platform !== 'linux') return undefined;
  // Without this the report looks up every network interface's name, which can take seconds.
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl';
}

function install(packages) {
  const started = performance.now();
  const examples = packages.slice(0, 3).map((path) => path.replace(/^.*node_modules\//, ''));
  console.log(
    `Installing: ${packages.length} package${packages.length > 1 ? 's' : ''} missing or outdated ` +
      `(${examples.join(', ')}${packages.length > examples.length ? ', ...' : ''})`,
  );
  const args = [
    'ci',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    `--${production ? 'omit' : 'include'}=dev`,
  ];
  const npm = process.env.npm_execpath;
  const { status, signal, error } = npm
    ? spawnSync(process.env.npm_node_execpath ?? process.execPath, [npm, ...args], {
        cwd: root,
        stdio: 'inherit',
      })
    : spawnSync('npm', args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' });
  if (error || status !== 0)
    stop(`npm ${args.join(' ')} failed: ${error?.message ?? signal ?? `exit code ${status}`}`, status ?? 1);
  console.log(`Installed in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

function isInstalledNode() {
  return existsSync(modules) && realpathSync(process.execPath).startsWith(realpathSync(modules) + sep);
}

function major(version) {
  return Number.parseInt(version, 10);
}

function stop(message, exitCode = 1) {
  console.error(message);
  process.exit(exitCode);
}
