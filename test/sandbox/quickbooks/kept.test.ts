/** What the emulated QuickBooks keeps over a restart, beside grants. */
import { mkdtempSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { mainRealmId, openSandbox } from '../../support/sandbox.ts';

let stateFile: string;
beforeEach(() => {
  stateFile = join(mkdtempSync(join(tmpdir(), 'integrations-sandbox-')), 'state.json');
});

const open = () => openSandbox({ stateFile, settings: { rateLimits: false } });
type Open = Awaited<ReturnType<typeof open>>;

const rowsOf = async (sandbox: Open, token: string, kind: string) => {
  const query = encodeURIComponent(`select * from ${kind} maxresults 1000`);
  return (await sandbox.api(token, `query?query=${query}`)).at(`QueryResponse.${kind}`);
};
const restarted = async (sandbox: Open) => {
  await sandbox.close();
  return open();
};

it('is every random change, and what followed from it', async () => {
  const before = await open();
  const { access_token: token } = await before.connect();
  await before.admin('POST', 'quickbooks/activity', { realmId: mainRealmId, count: 200, seed: 3 });
  const kinds = ['Customer', 'Invoice', 'Payment', 'Bill', 'Estimate'];
  const written = await Promise.all(kinds.map((kind) => rowsOf(before, token, kind)));
  const after = await restarted(before);
  expect(await Promise.all(kinds.map((kind) => rowsOf(after, token, kind)))).toEqual(written);
  await after.close();
});

it('is what was done before a random change that could not be', async () => {
  const before = await open();
  const { access_token: token } = await before.connect();
  const wanted = { realmId: mainRealmId, entity: 'PurchaseOrder', operation: 'delete', count: 4 };
  // There are three.
  expect((await before.admin('POST', 'quickbooks/activity', wanted)).status).toBe(400);
  expect(await rowsOf(before, token, 'PurchaseOrder')).toBeUndefined();
  const after = await restarted(before);
  expect(await rowsOf(after, token, 'PurchaseOrder')).toBeUndefined();
  await after.close();
});

it('is written once for many random changes', async () => {
  const sandbox = await open();
  await sandbox.connect();
  let renames = 0;
  const watcher = watch(join(stateFile, '..'), (event, name) => {
    if (event === 'rename' && name === 'state.json') renames += 1;
  });
  await sandbox.admin('POST', 'quickbooks/activity', { realmId: mainRealmId, count: 100 });
  await sandbox.admin('POST', 'quickbooks/activity', { realmId: mainRealmId, count: 100 });
  await expect.poll(() => renames).toBe(2);
  watcher.close();
  await sandbox.close();
});
