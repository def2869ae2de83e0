import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What each file must not import: a layer above its own, the sandbox, or the inside of another folder. */
const refusedImports: [file: string, ...specifiers: string[]][] = [
  [
    'src/errors.ts',
    './config.ts',
    './calls/caller.ts',
    './db/tables.ts',
    './server.ts',
    '../resolvers/index.ts',
  ],
  ['src/log.ts', './events/events.ts', './main.ts'],
  ['src/clock.ts', './calls/caller.ts'],
  ['src/config.ts', './db/database.ts', './providers/catalog.ts'],
  ['src/keys.ts', './db/database.ts', './oauth/tokens.ts'],
  [
    'src/calls/a.ts',
    '../oauth/protocol.ts',
    '../providers/provider.ts',
    '../sync/changes.ts',
    '../db/postgres.ts',
  ],
  ['src/events/a.ts', '../connections/connections.ts', '../webhooks/receive.ts', '../config.ts'],
  ['src/db/a.ts', '../oauth/encryption.ts', '../calls/rateLimit.ts', '../../resolvers/context.ts'],
  ['src/providers/a.ts', '../oauth/tokens.ts', '../connections/api.ts', '../calls/backoff.ts'],
  [
    'src/providers/folder/a.ts',
    '../../oauth/tokens.ts',
    '../../connections/api.ts',
    '../../calls/backoff.ts',
  ],
  ['src/oauth/protocol.ts', './tokens.ts', './authorization.ts', '../connections/connections.ts'],
  ['src/oauth/encryption.ts', './accountKeys.ts', '../sync/records.ts'],
  ['src/oauth/a.ts', '../connections/connections.ts', '../providers/quickbooks.ts', '../webhooks/receive.ts'],
  ['src/connections/a.ts', '../sync/changes.ts', '../oauth/protocol.ts', '../sandbox/sandbox.ts'],
  ['src/sync/a.ts', '../webhooks/receive.ts', '../connections/returnTo.ts', '../../resolvers/loaders.ts'],
  ['src/webhooks/a.ts', '../../resolvers/index.ts', '../sync/poll.ts', '../server.ts', '../main.ts'],
  ['src/ops/a.ts', '../main.ts', '../core.ts', '../server.ts', '../connections/api.ts', '../db/postgres.ts'],
  ['src/sandbox/a.ts', '../calls/http.ts', '../providers/provider.ts', '../config.ts', '../db/tables.ts'],
  ['src/sandbox/folder/a.ts', '../../calls/http.ts', '../../db/tables.ts', '../../../resolvers/index.ts'],
  ['src/metrics.ts', './main.ts', './server.ts', './core.ts', './db/tables.ts', './calls/turns.ts'],
  ['src/identity.ts', './metrics.ts'],
  ['src/connections/b.ts', '../metrics.ts'],
  ['src/identity.ts', './development.ts', './configuredCatalog.ts'],
  ['src/server.ts', './development.ts', './configuredCatalog.ts'],
  ['src/graphqlRoutes.ts', './main.ts', './sandbox/sandbox.ts', './webhooks/deliver.ts'],
  ['src/apollo.ts', './main.ts', './sandbox/sandbox.ts', './db/postgres.ts'],
  ['src/server.ts', './main.ts', './webhooks/deliver.ts', './sandbox/sandbox.ts', '../resolvers/loaders.ts'],
  [
    'resolvers/a.ts',
    '../src/server.ts',
    '../src/main.ts',
    '../src/sandbox/sandbox.ts',
    '../src/sync/poll.ts',
  ],
];

const openImports: [file: string, ...specifiers: string[]][] = [
  ['src/config.ts', './errors.ts'],
  ['src/keys.ts', './oauth/encryption.ts'],
  ['src/calls/a.ts', '../errors.ts', '../log.ts', '../clock.ts', '../db/tables.ts', './backoff.ts'],
  ['src/events/a.ts', '../db/database.ts', '../clock.ts'],
  ['src/providers/a.ts', '../calls/http.ts', '../errors.ts', './provider.ts'],
  ['src/providers/folder/a.ts', '../../calls/addresses.ts', '../../errors.ts', '../provider.ts', './b.ts'],
  ['src/oauth/protocol.ts', '../calls/http.ts', '../providers/provider.ts', '../errors.ts'],
  ['src/oauth/a.ts', './protocol.ts', './encryption.ts', '../calls/caller.ts', '../providers/catalog.ts'],
  [
    'src/connections/a.ts',
    '../oauth/tokens.ts',
    '../oauth/authorization.ts',
    '../events/events.ts',
    './b.ts',
  ],
  ['src/sync/a.ts', '../connections/api.ts', '../events/events.ts', './poll.ts'],
  ['src/webhooks/a.ts', '../sync/changes.ts', '../providers/catalog.ts', './deliver.ts'],
  ['src/ops/a.ts', '../config.ts', '../db/database.ts', '../oauth/keyRotation.ts', './b.ts'],
  ['src/sandbox/a.ts', '../clock.ts', '../log.ts', '../errors.ts', './b.ts'],
  ['src/sandbox/folder/a.ts', '../../clock.ts', '../a.ts', './b.ts'],
  ['src/metrics.ts', './errors.ts', './calls/caller.ts', './events/events.ts', './oauth/tokens.ts'],
  ['src/core.ts', './metrics.ts'],
  [
    'src/server.ts',
    '../resolvers/context.ts',
    './webhooks/receive.ts',
    './config.ts',
    './identity.ts',
    './metrics.ts',
  ],
  ['src/development.ts', './sandbox/sandbox.ts', './config.ts'],
  ['src/configuredCatalog.ts', './sandbox/sandbox.ts', './providers/configured/load.ts'],
  ['src/graphqlRoutes.ts', './guard/guard.ts', './apollo.ts', './subscriptions/subscriptions.ts'],
  ['src/main.ts', './server.ts', './sandbox/sandbox.ts', './webhooks/deliver.ts', '../resolvers/index.ts'],
  [
    'resolvers/a.ts',
    '../src/connections/connections.ts',
    '../src/sync/status.ts',
    '../src/errors.ts',
    './b.ts',
  ],
];

const refusedCode: [rule: string, file: string, code: string][] = [
  [
    'no-restricted-imports',
    'src/calls/forms.ts',
    'import type { A } from "../sync/changes.ts"; export type B = A;',
  ],
  ['no-restricted-imports', 'src/calls/forms.ts', 'export const a = () => import("../sync/changes.ts");'],
  ['no-restricted-imports', 'src/calls/forms.ts', 'export { a as c } from "../sync/changes.ts";'],
  ['no-explicit-any', 'src/calls/any.ts', 'export const a = (b: any) => typeof b;'],
  ['no-explicit-any', 'test/any.ts', 'export const a = (b: any) => typeof b;'],
  ['no-floating-promises', 'src/calls/floating.ts', 'export function a() { Promise.resolve(1); }'],
  ['no-misused-promises', 'src/calls/misused.ts', 'setTimeout(async () => { await Promise.resolve(); }, 1);'],
  ['no-unsafe-return', 'src/calls/unsafe.ts', 'export const a = (b: string): string => JSON.parse(b);'],
  ['ban-ts-comment', 'src/calls/comment.ts', '/* @ts-ignore */ export const a: number = "b";'],
  ['no-default-export', 'src/calls/default.ts', 'export default 1;'],
  ['no-process-env', 'src/calls/environment.ts', 'export const a = process.env["A"];'],
  ['no-process-env', 'src/server.ts', 'export const a = process.env["A"];'],
  ['no-process-env', 'resolvers/environment.ts', 'export const a = process.env["A"];'],
  ['no-console', 'src/calls/console.ts', 'console.log(1);'],
  ['no-console', 'src/main.ts', 'console.log(1);'],
  ['no-console', 'resolvers/console.ts', 'console.log(1);'],
  ['no-disabled-tests', 'test/disabled.test.ts', 'import { it } from "vitest"; it.skip("is", () => {});'],
  ['no-focused-tests', 'test/focused.test.ts', 'import { it } from "vitest"; it.only("is", () => {});'],
];

const openCode: [rule: string, file: string, code: string][] = [
  ['no-process-env', 'src/config.ts', 'export const a = process.env["A"];'],
  ['no-process-env', 'src/main.ts', 'export const a = process.env["A"];'],
  ['no-process-env', 'test/environment.ts', 'export const a = process.env["A"];'],
  ['no-default-export', 'vitest.config.ts', 'export default {};'],
];

/** A tree of the same shape as ours, one sample a line, linted once with our configuration. */
const samples = new Map<string, string[]>();
let findings: Finding[];
let tree: string;

interface Finding {
  code: string;
  filename: string;
  labels: { span: { line: number } }[];
}

beforeAll(async () => {
  tree = mkdtempSync(join(tmpdir(), 'lint-'));
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
  for (const name of ['oxlint.config.ts', 'tsconfig.json', 'package.json'])
    copyFileSync(join(root, name), join(tree, name));

  for (const [file, ...specifiers] of [...refusedImports, ...openImports])
    samples.set(file, [...(samples.get(file) ?? []), ...specifiers.map(importLine)]);
  for (const [, file, code] of [...refusedCode, ...openCode])
    samples.set(file, [...(samples.get(file) ?? []), code]);
  for (const [file, lines] of samples) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), `${lines.join('\n')}\n`);
  }
  findings = await lint([...samples.keys()]);
});

afterAll(() => rmSync(tree, { recursive: true }));

const importLine = (specifier: string) => `import '${specifier}';`;

/** Names of the rules that the sample breaks. */
function broken(file: string, sample: string): string[] {
  const line = samples.get(file)!.indexOf(sample) + 1;
  expect(line).toBeGreaterThan(0);
  return findings
    .filter((finding) => finding.filename === file && finding.labels.some(({ span }) => span.line === line))
    .map((finding) => /\((.*)\)/.exec(finding.code)![1]!);
}

function lint(files: string[]): Promise<Finding[]> {
  const args = [join(root, 'node_modules/oxlint/bin/oxlint'), '--format=json', ...files];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { cwd: tree, maxBuffer: 2 ** 26 }, (_error, stdout, stderr) => {
      try {
        resolve((JSON.parse(stdout) as { diagnostics: Finding[] }).diagnostics);
      } catch {
        reject(new Error(`oxlint did not answer: ${stdout}${stderr}`));
      }
    });
  });
}

describe('lint', () => {
  it.each(refusedImports)('refuses what %s must not import', (file, ...specifiers) => {
    const refused = specifiers.filter((s) => broken(file, importLine(s)).includes('no-restricted-imports'));
    expect(refused).toEqual(specifiers);
  });

  it.each(openImports)('lets %s import what is offered to it', (file, ...specifiers) => {
    const refused = specifiers.filter((s) => broken(file, importLine(s)).includes('no-restricted-imports'));
    expect(refused).toEqual([]);
  });

  it.each(refusedCode)('refuses by %s in %s: %s', (rule, file, code) => {
    expect(broken(file, code)).toContain(rule);
  });

  it.each(openCode)('is without %s in %s: %s', (rule, file, code) => {
    expect(broken(file, code)).not.toContain(rule);
  });
});
