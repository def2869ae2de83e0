import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kindNames } from '../../../src/sandbox/quickbooks/entities.ts';
import { mainRealmId, openSandbox, otherRealmId, type TestSandbox } from '../../support/sandbox.ts';

interface Happened {
  realmId: string;
  entity: string;
  id: string;
  operation: string;
}

let sandbox: TestSandbox;
let token: string;
beforeEach(async () => {
  sandbox = await openSandbox({ settings: { rateLimits: false } });
  token = (await sandbox.connect()).access_token;
});
afterEach(() => sandbox.close());

const happen = async (wanted: object = {}, on = sandbox) => {
  const answer = await on.admin('POST', 'quickbooks/activity', { realmId: mainRealmId, ...wanted });
  if (answer.status !== 200) throw new Error(answer.text);
  return answer.at('changed') as Happened[];
};
const made = kindNames.filter((kind) => kind !== 'CompanyInfo');
const transactions = ['Invoice', 'Payment', 'Bill', 'Estimate', 'CreditMemo', 'PurchaseOrder'];

describe('random changes', () => {
  it.each(made)('create, update and delete: %s', async (entity) => {
    const path = entity.toLowerCase();
    const count = async () =>
      (await sandbox.api(token, `query?query=select count(*) from ${entity}`)).at('QueryResponse.totalCount');
    const before = (await count()) as number;
    const created = await happen({ entity, operation: 'create', count: 3 });
    expect(new Set(created.map(({ id }) => id)).size).toBe(3);
    expect(await count()).toBe(before + 3);

    const [updated] = await happen({ entity, operation: 'update' });
    expect(updated).toEqual({ realmId: mainRealmId, entity, operation: 'update', id: expect.any(String) });
    const record = await sandbox.api(token, `${path}/${updated!.id}`);
    expect(Number(record.at(`${entity}.SyncToken`))).toBeGreaterThan(0);

    const [deleted] = await happen({ entity, operation: 'delete' });
    expect(await count()).toBe(before + 2);
    // An entry of a name list is made inactive, as people do it.
    const after = await sandbox.api(token, `${path}/${deleted!.id}`);
    expect([after.at('Fault.Error.0.code'), after.at(`${entity}.Active`)]).toEqual(
      transactions.includes(entity) ? ['610', undefined] : [undefined, false],
    );
  });

  it('of no kind in particular are a mix, and never run into what QuickBooks refuses', async () => {
    const changes = await happen({ count: 1000, seed: 20_260_105 });
    expect(changes).toHaveLength(1000);
    expect(new Set(changes.map(({ operation }) => operation)).size).toBe(3);
    expect(new Set(changes.map(({ entity }) => entity)).size).toBeGreaterThan(5);
  });

  it('are the same for the same seed', async () => {
    const again = await openSandbox();
    const first = await happen({ count: 50, seed: 7 });
    expect(await happen({ count: 50, seed: 7 }, again)).toEqual(first);
    expect(await happen({ count: 50, seed: 8 }, again)).not.toEqual(first);
    await again.close();
  });

  it('are refused with a reason', async () => {
    const ask = (body: object) => sandbox.admin('POST', 'quickbooks/activity', body);
    expect((await ask({ realmId: '1' })).at('error')).toBe('realmId: no company 1');
    expect((await ask({ realmId: mainRealmId, entity: 'Spaceship' })).status).toBe(400);
    const company = { realmId: mainRealmId, entity: 'CompanyInfo', operation: 'delete' };
    expect((await ask(company)).at('error')).toMatch(/^activity: .*not supported/);
    await happen({ entity: 'CreditMemo', operation: 'delete', count: 2 });
    expect((await ask({ ...company, entity: 'CreditMemo' })).at('error')).toMatch(
      /^activity: Object Not Found/,
    );
  });
});

describe('what happens by itself', () => {
  const since = async (changedSince: string) => {
    const answer = await sandbox.api(token, `cdc?entities=${made.join()}&changedSince=${changedSince}`);
    return answer.at('CDCResponse.0.QueryResponse') as object[];
  };
  const versions = async () => JSON.stringify(await since('2026-01-05'));

  it('happens as often as is set, in connected companies only, until it is set to never', async () => {
    const other = await sandbox.connect({ realmId: otherRealmId });
    await sandbox.admin('POST', 'grants/revoke', { realmId: otherRealmId });
    expect(other.access_token).toMatch(/./);
    const quiet = await versions();
    await sandbox.admin('PUT', 'settings', { activityEveryMs: 1000 });
    await sandbox.clock.advance(999);
    expect(await versions()).toBe(quiet);
    await sandbox.clock.advance(1);
    const once = await versions();
    expect(once).not.toBe(quiet);
    await sandbox.clock.advance(20_000);
    const often = await versions();
    expect(often).not.toBe(once);
    await sandbox.admin('PUT', 'settings', { activityEveryMs: 0 });
    await sandbox.clock.advance(20_000);
    expect(await versions()).toBe(often);
    const elsewhere = await sandbox.connect({ realmId: otherRealmId });
    const untouched = await sandbox.api(
      elsewhere.access_token,
      `/v3/company/${otherRealmId}/cdc?entities=${made.join()}&changedSince=2026-01-05T04:00:00-08:00`,
    );
    expect(untouched.at('CDCResponse.0.QueryResponse')).toEqual(made.map(() => ({})));
  });

  it('is the same for the same seed', async () => {
    const run = async () => {
      const own = await openSandbox({
        settings: { rateLimits: false, activityEveryMs: 500, activitySeed: 3 },
      });
      const access = (await own.connect()).access_token;
      await own.clock.advance(20_000);
      const text = (await own.api(access, `cdc?entities=${made.join()}&changedSince=2026-01-05`)).at(
        'CDCResponse',
      );
      await own.close();
      return JSON.stringify(text);
    };
    const first = await run();
    expect(first).toContain('2026-01-05T04:00:20-08:00');
    expect(await run()).toBe(first);
  });
});
