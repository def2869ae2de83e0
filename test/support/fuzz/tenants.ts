/** Random operations of several accounts on one product, which must see nothing of each other. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { createSchema } from '../../../resolvers/index.ts';
import type { TestCore } from '../core.ts';
import { randomDocuments, type RandomDocument } from './documents.ts';
import { oneOf, sequence, type Known, type Random } from './values.ts';

export interface TenancyReport {
  operations: number;
  /** By root field: operations that named another account's thing. */
  asked: Record<string, number>;
  /** Answers in which a foreign id was told from an unknown one. */
  told: { foreign: string; unknown: string; query: string }[];
  /** Tables whose rows were changed by operations that named only what is not the asker's. */
  changed: string[];
  /** Answers that had something of another account. */
  crossed: { mark: string; query: string }[];
  /** Answers that had something of the asker's own. */
  own: number;
}

interface Tenant {
  account: string;
  connections: string[];
  deliveries: string[];
  /** What nobody else may be told. */
  marks: string[];
}

const [idToken, accountToken] = ['<the id>', '<the account>'];

/** Roots that take an id, of which an unknown one changes nothing. */
const naming = new Set(
  'connection _entities refresh disconnect syncConnection setWebhookSecret redriveDeliveries'.split(' '),
);

export async function crossTenants(
  product: TestCore,
  { operations, seed }: { operations: number; seed: number },
): Promise<TenancyReport> {
  const random = sequence(seed);
  const tenants: Tenant[] = [];
  for (let i = 0; i < 5; i++) tenants.push(await populate(product, `tenant-${i}`, random));
  const report: TenancyReport = { operations: 0, asked: {}, told: [], changed: [], crossed: [], own: 0 };
  const schema = createSchema();

  const ask = async ({ query, variables }: RandomDocument, tenant: Tenant, names: [string, string][]) => {
    const named = (text: string) => names.reduce((left, [from, to]) => left.replaceAll(from, to), text);
    const source = named(query);
    const given = JSON.parse(named(JSON.stringify(variables))) as Record<string, unknown>;
    const text = JSON.stringify(await product.query(source, given, tenant.account));
    const sent = source + JSON.stringify(given);
    for (const { account, marks } of tenants) {
      if (account === tenant.account) report.own += Number(marks.some((mark) => text.includes(mark)));
      else
        for (const mark of marks)
          if (text.includes(mark) && !sent.includes(mark)) report.crossed.push({ mark, query: source });
    }
    report.operations++;
    // The moment at which a problem occurred is the one thing that differs each time.
    return names.reduce((left, [from, to]) => left.replaceAll(to, from), text.replaceAll(times, '<time>'));
  };

  // What is not the asker's: another account's is as unknown as what never was, and stays as it is.
  const before = await dump(product);
  const only = { ...worldOf(tenants, product), connections: [idToken], accounts: [accountToken] };
  const next = randomDocuments(schema, only, random, {
    ...{ roots: naming, kinds: { query: 0.5, mutation: 0.5, subscription: 0 } },
  });
  while (report.operations < operations / 2) {
    const document = next();
    const text = document.query + JSON.stringify(document.variables);
    // An integration leads to the asker's own connection, whose profile is kept when it is read.
    if (!text.includes(idToken) || text.includes('"Integration"')) continue;
    const asker = oneOf(random, tenants);
    const other = oneOf(
      random,
      tenants.filter((one) => one !== asker),
    );
    const id = oneOf(random, [...other.connections, ...other.deliveries]);
    const isUpper = random() < 0.1;
    const spelt = (one: string) => (isUpper ? one.toUpperCase() : one);
    const foreign = await ask(document, asker, [
      [idToken, spelt(id)],
      [accountToken, other.account],
    ]);
    const unknown = await ask(document, asker, [
      [idToken, spelt(randomUUID())],
      [accountToken, 'tenant-9'],
    ]);
    for (const root of naming)
      if (document.query.includes(`${root}(`)) report.asked[root] = (report.asked[root] ?? 0) + 1;
    if (foreign !== unknown) report.told.push({ foreign, unknown, query: document.query });
  }
  const after = await dump(product);
  for (const [table, rows] of before) if (after.get(table) !== rows) report.changed.push(table);

  // Anything at all, of everybody's: what comes back is the asker's own.
  const all = worldOf(tenants, product);
  const anything = randomDocuments(schema, all, random, {
    kinds: { query: 0.97, mutation: 0.03, subscription: 0 },
  });
  const connections = randomDocuments(schema, all, random, {
    ...{ roots: new Set(['connections', '_entities']), kinds: { query: 1, mutation: 0, subscription: 0 } },
  });
  while (report.operations < operations)
    await ask((random() < 0.3 ? anything : connections)(), oneOf(random, tenants), []);
  return report;
}

const times = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g;

function worldOf(tenants: readonly Tenant[], product: TestCore): Known {
  return {
    connections: tenants.flatMap(({ connections, deliveries }) => [...connections, ...deliveries]),
    accounts: tenants.map(({ account }) => account),
    integrations: product.catalog.list().map(({ provider }) => provider.id),
    resources: ['Invoice', 'Customer', 'Item'],
    cursors: [],
    returnTo: 'https://app.example.com/settings',
  };
}

/** An account with one of everything that an answer can show. */
async function populate(product: TestCore, account: string, random: Random): Promise<Tenant> {
  const connection = await product.connected(account);
  const mark = `mark-of-${account}-${Math.floor(random() * 1e9)}`;
  const deliveries = [randomUUID(), randomUUID()];
  const ref = { account_id: account, connection_id: connection.id };
  await product.db
    .insertInto('external_records')
    .values(
      ['Invoice', 'Customer'].map((resource) => ({
        ...{ ...ref, resource, external_id: mark, fetched_at: new Date() },
        ...{ account_external_id: connection.externalId!, payload: JSON.stringify({ Memo: mark }) },
      })),
    )
    .execute();
  await product.db
    .insertInto('webhook_deliveries')
    .values(
      deliveries.map((id) => ({
        ...{ ...ref, id, integration_id: 'quickbooks', event_id: `${mark} ${id}`, status: 'DEAD' as const },
        notice: JSON.stringify({ kind: 'missed' }),
      })),
    )
    .execute();
  const { data } = await product.query('{ connections { events { nodes { id } } } }', {}, account);
  const [own] = (data as { connections: { events: { nodes: { id: string }[] } }[] }).connections;
  return {
    ...{ account, connections: [connection.id], deliveries },
    marks: [connection.id, mark, ...deliveries, ...own!.events.nodes.map(({ id }) => id)],
  };
}

/** Every row of every table that has accounts. */
async function dump(product: TestCore): Promise<Map<string, string>> {
  const { rows } = await sql<{ name: string }>`
    select table_name as name from information_schema.columns
    where table_schema = current_schema() and column_name = 'account_id'`.execute(product.db);
  const tables = new Map<string, string>();
  for (const { name } of rows) {
    const all = await sql<{ row: string }>`
      select t::text as row from ${sql.table(name)} t order by 1`.execute(product.db);
    tables.set(name, all.rows.map(({ row }) => row).join('\n'));
  }
  return tables;
}
