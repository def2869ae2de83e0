/** Change data capture, where a client's sync comes to depend on its edges. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { mainRealmId, openSandbox, type TestSandbox } from '../../support/sandbox.ts';

type Json = any; // oxlint-disable-line typescript/no-explicit-any -- its shape is what is asserted

let sandbox: TestSandbox;
let token: string;
beforeEach(async () => {
  sandbox = await openSandbox({ settings: { rateLimits: false } });
  token = (await sandbox.connect()).access_token;
});
afterEach(() => sandbox.close());

const changes = async (entities: string, since: string | number = sandbox.clock.now()) => {
  const changedSince = typeof since === 'string' ? since : new Date(since).toISOString();
  const query = new URLSearchParams({ entities, changedSince });
  const answer = await sandbox.api(token, `cdc?${query.toString()}`);
  return { ...answer, rows: (answer.at('CDCResponse.0.QueryResponse') ?? []) as Json[] };
};
const happen = (wanted: object) =>
  sandbox.admin('POST', 'quickbooks/activity', { realmId: mainRealmId, ...wanted });

it('gives a thousand objects at most, over all kinds, the oldest changes first', async () => {
  const start = sandbox.clock.now();
  await happen({ entity: 'Vendor', operation: 'create', count: 600 });
  await sandbox.clock.advance(1000);
  await happen({ entity: 'Customer', operation: 'create', count: 600 });
  const { rows } = await changes('Vendor,Customer', start);
  expect(rows.map(({ maxResults }) => maxResults)).toEqual([600, 400]);
  // There is no next page: a query by time finds the rest.
  const where = `where MetaData.LastUpdatedTime >= '${new Date(start + 1000).toISOString()}' maxresults 1000`;
  const rest = await sandbox.api(
    token,
    `query?query=${encodeURIComponent(`select * from Customer ${where}`)}`,
  );
  expect(rest.at('QueryResponse.maxResults')).toBe(600);
});

it('gives each object once, as it is now', async () => {
  const start = sandbox.clock.now();
  const { at } = await sandbox.post(token, 'vendor', { DisplayName: 'Changed twice' });
  const own = { Id: at('Vendor.Id'), sparse: true };
  await sandbox.clock.advance(2000);
  await sandbox.post(token, 'vendor', { ...own, SyncToken: '0', AcctNum: 'DOT 1' });
  await sandbox.post(token, 'vendor', { ...own, SyncToken: '1', Active: false });
  const { rows } = await changes('vendor', start);
  expect(rows).toEqual([
    {
      Vendor: [
        expect.objectContaining({
          Id: own.Id,
          SyncToken: '2',
          AcctNum: 'DOT 1',
          // A name that people "delete" is inactive, and no stub.
          Active: false,
          MetaData: {
            CreateTime: '2026-01-05T04:00:00-08:00',
            LastUpdatedTime: '2026-01-05T04:00:02-08:00',
          },
        }),
      ],
      startPosition: 1,
      maxResults: 1,
    },
  ]);
});

it('keeps the stubs of the deleted, and nothing else of them', async () => {
  const start = sandbox.clock.now();
  for (const entity of ['Invoice', 'Estimate', 'PurchaseOrder', 'CreditMemo'])
    await happen({ entity, operation: 'delete' });
  const { rows } = await changes('Invoice,Estimate,PurchaseOrder,CreditMemo', start);
  for (const one of rows.map((row) => Object.values(row as Json)[0] as Json[])) {
    expect(one).toEqual([
      {
        status: 'Deleted',
        domain: 'QBO',
        Id: expect.stringMatching(/^\d+$/),
        MetaData: { LastUpdatedTime: '2026-01-05T04:00:00-08:00' },
      },
    ]);
  }
});

it('counts in whole seconds, from the given one on, in any zone', async () => {
  await sandbox.clock.advance(1900);
  await sandbox.post(token, 'vendor', { DisplayName: 'At 1.9 s' });
  const found = async (since: string) => 'Vendor' in (await changes('Vendor', since)).rows[0];
  expect(await found('2026-01-05T12:00:01Z')).toBe(true);
  expect(await found('2026-01-05T13:00:01+01:00')).toBe(true);
  expect(await found('2026-01-05T04:00:01-0800')).toBe(true);
  expect(await found('2026-01-05T04:00:01')).toBe(true);
  expect(await found('2026-01-05T12:00:02Z')).toBe(false);
});

it.each(['JournalCode', 'TaxAgency', 'TimeActivity', 'TaxCode', 'TaxRate', 'Spaceship'])(
  'refuses %s, and with it what else was asked for',
  async (entity) => {
    const { status, at } = await changes(`Customer,${entity}`);
    expect([status, at('Fault.Error.0.code')]).toEqual([400, '500']);
  },
);

it('answers {} for each kind without changes, with the time from which to go on', async () => {
  const { json } = await changes('Customer,Estimate,BillPayment', sandbox.clock.now() + 1000);
  expect(json).toEqual({
    CDCResponse: [{ QueryResponse: [{}, {}, {}] }],
    time: '2026-01-05T04:00:00.000-08:00',
  });
});
