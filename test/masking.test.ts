import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Connection } from '../src/connections/connection.ts';
import { mask } from '../src/providers/masking.ts';
import { myCarrierPackets } from '../src/providers/myCarrierPackets.ts';
import { openCore, type TestCore } from './support/core.ts';
import { databaseKinds } from './support/databases.ts';
import { openReceiver, type TestReceiver } from './support/webhooks.ts';

/** What the provider itself says under the masked names, wherever they stand. */
function hiddenIn(value: unknown, names: ReadonlySet<string>): string[] {
  if (Array.isArray(value)) return value.flatMap((one) => hiddenIn(one, names));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) =>
    names.has(name.toLowerCase()) && typeof member === 'string' && member !== ''
      ? [member]
      : hiddenIn(member, names),
  );
}

describe.each(databaseKinds)('bank accounts and tax numbers of carriers, %s', (_kind, open) => {
  const secret = 'a-secret-of-this-customer';
  const names = new Set(
    Object.values(myCarrierPackets.masked!).flatMap((list) => list.map((one) => one.toLowerCase())),
  );
  let product: TestCore;
  let receiver: TestReceiver;
  let connection: Connection;
  let answers = '';
  let hidden: Set<string>;
  beforeAll(async () => {
    product = await openCore(open);
    // The limits of the tests are not the vendor's, which `CarriersChanges` has.
    await product.admin('PUT', 'mycarrierpackets/settings', { rateLimits: false });
    receiver = await openReceiver(product);
    const { username, password } = product.sandbox.myCarrierPackets;
    const made = await product.connections.connect({
      ...{ accountId: 'acme', userId: 'user-1', integrationId: 'mycarrierpackets' },
      credentials: { username, password, webhookSecret: secret },
    });
    connection = made.connection!;
    product.deliveries.start();
    product.polling.start();
  });
  afterAll(async () => {
    await receiver.close();
    await product.close();
  });

  const ask = async (source: string, variables: Record<string, unknown>) => {
    const answer = await product.query(source, variables);
    expect(answer.errors).toBeUndefined();
    answers += JSON.stringify(answer);
  };
  const rows = async () => {
    const { rows: tables } = await sql<{ schema: string; name: string }>`
      select table_schema as schema, table_name as name from information_schema.tables
      where table_schema in ('public', 'pgboss') and table_type = 'BASE TABLE'`.execute(product.db);
    let text = '';
    for (const { schema, name } of tables) {
      const found = await sql<{ row: string }>`select t::text as row from ${sql.id(schema, name)} t`.execute(
        product.db,
      );
      text += found.rows.map(({ row }) => row).join('\n');
    }
    return text;
  };

  it('survive in no row, log line, event or answer, whichever way they come', { timeout: 90_000 }, async () => {
    const synced = () =>
      product.db
        .selectFrom('external_records')
        .select(['external_id', 'payload'])
        .where('resource', '=', 'Carrier')
        .where('payload', 'is not', null)
        .execute();
    await vi.waitFor(async () => expect((await synced()).length).toBeGreaterThan(5), { timeout: 30_000 });
    const carriers = (await synced()).map((row) => row.external_id);

    const { value: token } = await product.tokens.accessToken(connection);
    hidden = new Set();
    for (const dotNumber of carriers) {
      const url = `${product.sandbox.myCarrierPackets.apiUrl}/api/v1/Carrier/GetCarrierData?DOTNumber=${dotNumber}`;
      const answer = await fetch(url, { method: 'POST', headers: { authorization: `bearer ${token}` } });
      for (const value of hiddenIn(await answer.json(), names)) hidden.add(value);
    }
    // Names are in other members too: only what nobody may know is looked for.
    const numbers = [...hidden].filter((value) => /^[\d -]{4,}$/.test(value));
    expect(numbers.length).toBeGreaterThan(5);

    const one = carriers[0]!;
    await ask(
      'query ($id: ID!, $of: ID!) { connection(id: $id) { record(resource: "Carrier", externalId: $of) { payload } } }',
      { id: connection.id, of: one },
    );
    await ask(
      `query ($r: [_Any!]!) { _entities(representations: $r) { ... on ExternalRecord { payload } } }`,
      {
        r: carriers
          .slice(0, 5)
          .map((of) => ({ __typename: 'ExternalRecord', id: `${connection.id}/Carrier/${of}` })),
      },
    );
    const event = {
      eventType: 'carrier.updated',
      eventDateTime: new Date().toISOString(),
      eventData: {
        carrier: { dotNumber: Number(one) },
        id: randomUUID(),
        SSN: numbers[0],
        BankAccountNumber: numbers[1],
      },
    };
    expect((await receiver.myCarrierPackets(connection.id, event, secret)).status).toBe(200);
    await vi.waitFor(
      async () => {
        const found = await product.db.selectFrom('webhook_deliveries').select(['status', 'problem']).execute();
        expect(found).toEqual([{ status: 'PROCESSED', problem: null }]);
      },
      { timeout: 20_000 },
    );
    await ask(
      `query ($id: ID!) { connection(id: $id) {
        records(resource: "Carrier", first: 100) { nodes { payload } }
        events(first: 100) { nodes { kind record { payload } problem { message } } }
        deliveries { nodes { eventId problem { message } } } } }`,
      { id: connection.id },
    );

    expect(answers).toContain(`"${mask}"`);
    const everything = { answers, logs: product.logs(), rows: await rows() };
    for (const [place, text] of Object.entries(everything))
      expect([place, numbers.filter((value) => text.includes(value))]).toEqual([place, []]);
  });
});
