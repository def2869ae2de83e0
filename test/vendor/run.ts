/**
 * `npm run test:vendor`: the suites for which there are credentials, against the vendors' own services. For each of the
 * others one line says what to set.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { missingFor, needed, type Vendor } from './settings.ts';

const vendors = Object.keys(needed) as Vendor[];
const ready = vendors.filter((vendor) => missingFor(vendor).length === 0);
for (const vendor of vendors) {
  const missing = missingFor(vendor);
  if (missing.length > 0) process.stdout.write(`not run: set ${missing.join(', ')}\n`);
}
if (ready.length > 0) {
  const [vitest, config] = ['../../node_modules/vitest/vitest.mjs', './vitest.config.ts'].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  const files = ready.map((vendor) => `test/vendor/${vendor}.vendor.ts`);
  const run = spawnSync(process.execPath, [vitest!, 'run', '--config', config!, ...files], {
    stdio: 'inherit',
  });
  process.exitCode = run.status ?? 1;
}
