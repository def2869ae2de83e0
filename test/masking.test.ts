import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Connection } from '../src/connections/connection.ts';
import { mask } from '../src/providers/masking.ts';
import { myCarrierPackets } from '../src/providers/myCarrierPackets.ts';
import { openCore, type TestCore } from './support/core.ts';
import { databaseKinds } from './support/databases.ts';
import { answeringServer, type AnsweringServer } from './support/httpServer.ts';
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

/** As the provider writes it, or without what groups its digits. */
const isIn = (text: string, number: string) =>
  text.includes(number) || text.includes(number.replaceAll(/[ -]/g, ''));

/** All rows of all tables as text, the job queue's too. */
async function rowsOf({ db }: TestCore): Promise<string> {
  const { rows: tables } = await sql<{ schema: string; name: string }>`
    select table_schema as schema, table_name as name from information_schema.tables
    where table_schema in ('public', 'pgboss') and table_type = 'BASE TABLE'`.execute(db);
  let text = '';
  for (const { schema, name } of tables) {
    const found = await sql<{ row: string }>`select t::text as row from ${sql.id(schema, name)} t`.execute(
      db,
    );
    text += found.rows.map(({ row }) => row).join('\n');
  }
  return text;
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
  it(
    'survive in no row, log line, event or answer, whichever way they come',
    { timeout: 90_000 },
    async () => {
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
          const found = await product.db
            .selectFrom('webhook_deliveries')
            .select(['status', 'problem'])
            .execute();
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
      const everything = { answers, logs: product.logs(), rows: await rowsOf(product) };
      for (const [place, text] of Object.entries(everything)) {
        expect([place, numbers.filter((value) => isIn(text, value))]).toEqual([place, []]);
      }
    },
  );
});

describe.each(databaseKinds)('bank accounts and tax numbers in a list of changes, %s', (_kind, open) => {
  const numbers = {
    ...{ SSN: '987-65-4399', EIN: '00-7654321', BankAccountNumber: '99000777001', TIN: '007654321' },
    ...{ CarrierBankRoutingNumber: '990000026', listaccountnumber: '44120987' },
  };
  const shown = {
    ...Object.fromEntries(Object.keys(numbers).map((name) => [name, mask])),
    BankName: 'Nowhere',
  };
  const personal = { ...numbers, BankName: 'Nowhere', BankAccountName: null };
  const dotNumber = { status: 'Active', Value: '4100201' };
  const changed = {
    ChangeDateTime: '2026-11-20T10:00:00',
    CarrierDetails: { dotNumber, Payment: [{ Bank: personal }] },
  };
  let server: AnsweringServer;
  let product: TestCore;
  beforeAll(async () => {
    server = await answeringServer(({ path }) => {
      if (path === '/token')
        return { status: 200, body: { access_token: 'at', token_type: 'bearer', userName: 'user' } };
      if (path.includes('CarriersChanges')) return { status: 200, body: { CarrierList: [changed] } };
      if (path.includes('CompletedPackets'))
        return { status: 200, body: [{ DOTNumber: 4100201, LegalName: 'Quick Flip', W9: personal }] };
      return { status: 200, body: { DOTNumber: 4100201, CarrierBank: personal } };
    });
    const provider = { ...myCarrierPackets, id: 'carriers' };
    const endpoints = { ...provider.endpoints, tokenUrl: `${server.url}/token`, apiUrl: server.url };
    const limits = [{ name: 'all', limit: 1_000, windowMs: 1_000 }];
    product = await openCore(open, { others: [{ provider, endpoints, limits }] });
    const { problem } = await product.connections.connect({
      ...{ accountId: 'acme', userId: 'user-1', integrationId: 'carriers' },
      credentials: { username: 'user', password: 'a password' },
    });
    if (problem) throw new Error(`not connected: ${problem.message}`);
    product.polling.start();
  });
  afterAll(async () => {
    await product.close();
    await server.close();
  });

  it(
    'are masked before they are stored: whether there was one stays visible',
    { timeout: 60_000 },
    async () => {
      const stored = await vi.waitFor(
        async () => {
          const rows = await product.db
            .selectFrom('external_records')
            .select(['resource', 'payload'])
            .execute();
          expect(rows.map((row) => row.resource).toSorted()).toEqual(myCarrierPackets.resources.toSorted());
          return new Map(rows.map((row) => [row.resource, row.payload as Record<string, unknown>]));
        },
        { timeout: 30_000 },
      );
      const bank = { ...shown, BankAccountName: null };
      expect(stored.get('CarrierChange')).toEqual({
        ...changed,
        CarrierDetails: { dotNumber, Payment: [{ Bank: bank }] },
      });
      expect(stored.get('CompletedPacket')).toMatchObject({ LegalName: 'Quick Flip', W9: bank });
      expect(stored.get('Carrier')).toEqual({ DOTNumber: 4100201, CarrierBank: bank });

      const answer = await product.query(
        `{ connections { events(first: 100) { nodes { kind record { payload } } }
        carriers: records(resource: "CarrierChange") { nodes { payload } }
        packets: records(resource: "CompletedPacket") { nodes { payload } } } }`,
      );
      expect(answer.errors).toBeUndefined();
      const everything = {
        answers: JSON.stringify(answer),
        logs: product.logs(),
        rows: await rowsOf(product),
      };
      expect(everything.answers).toContain(`"SSN":"${mask}"`);
      for (const [place, text] of Object.entries(everything))
        expect([place, Object.values(numbers).filter((value) => isIn(text, value))]).toEqual([place, []]);
    },
  );
});
