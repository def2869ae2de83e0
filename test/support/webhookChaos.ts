/**
 * Deliveries with duplicates, in disorder and with bad signatures among them, sent to processes that are killed at
 * random, by a sender that comes again until it is told 2xx. A ledger of what was acknowledged is then held against
 * what the database has, and the records against the provider's.
 */
import { sql } from 'kysely';
import type { Database } from '../../src/db/database.ts';
import type { Product } from './product.ts';
import { cloudEvents } from './webhooks.ts';
import { openWebhookProcesses } from './webhookProcesses.ts';

export interface ChaosSettings {
  kind: Database['kind'];
  processes: number;
  deliveries: number;
  kills: number;
  /** Every backend of the database is ended once, as by its restart. */
  restart: boolean;
  random: () => number;
}

export interface ChaosResult {
  acknowledged: number;
  requests: number;
  refused: number;
  unavailable: number;
  cut: number;
  kills: number;
  /** Acknowledged and not stored; stored more than once; not worked off; bad ones that were stored. */
  lost: number;
  doubled: number;
  unfinished: number;
  forged: number;
  dead: number;
  /** Records that differ from the provider's, and events of one record that say the same twice. */
  wrongRecords: number;
  wrongEvents: number;
  seconds: number;
}

const concurrency = 16;
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export async function webhookChaos(settings: ChaosSettings): Promise<ChaosResult> {
  const { random } = settings;
  const startedAt = performance.now();
  const processes = await openWebhookProcesses(settings.kind);
  try {
    const products: Product[] = [await processes.start()];
    while (products.length < settings.processes) products.push(await processes.start());
    const { realm } = await processes.connect(products[0]!, 'acme');
    const result = { requests: 0, refused: 0, unavailable: 0, cut: 0, kills: 0 };

    const ids = Array.from({ length: 12 }, (_, i) => String(41 + i));
    const acknowledged = new Set<string>();
    const forged = new Set<string>();
    const changed = new Map<string, number>();
    const ports = products.map(({ url }) => new URL(url).port);
    const pick = () => products[Math.floor(random() * products.length)]!;
    const send = async (id: string, externalId: string) => {
      const [isBad, copies] = [random() < 0.05, random() < 0.2 ? 2 : 1];
      const name = isBad ? `forged ${id}` : id;
      const body = cloudEvents([{ id: name, realm, entity: 'invoice', externalId }]);
      if (isBad) forged.add(name);
      for (let copy = 0; copy < copies; copy++)
        for (let isDone = false; !isDone;) {
          result.requests++;
          try {
            const answer = await processes.tell(pick(), body, isBad ? 'a forger’s secret' : undefined);
            await answer.arrayBuffer();
            isDone = answer.status === 200 || answer.status === 401;
            if (answer.status === 200) acknowledged.add(name);
            else if (answer.status === 401) result.refused++;
            else result.unavailable++;
          } catch {
            result.cut++;
          }
          if (!isDone) await wait(50 + random() * 100);
        }
    };

    let next = 0;
    const sender = async () => {
      while (next < settings.deliveries) {
        const n = next++;
        // Every now and then the provider's record changes, and the news of it is among the others.
        const externalId = ids[Math.floor(random() * ids.length)]!;
        if (random() < 0.02) {
          const answer = await processes.admin('POST', 'records', {
            ...{ realmId: realm, operation: 'update', entity: 'Invoice' },
            record: { Id: externalId, PrivateNote: `note ${n}` },
          });
          if (answer.ok) changed.set(externalId, (changed.get(externalId) ?? 0) + 1);
        }
        await send(`event ${n}`, externalId);
      }
    };
    const killer = async () => {
      for (let kill = 1; kill <= settings.kills; kill++) {
        const due = (settings.deliveries * kill) / (settings.kills + 1);
        while (next < due) await wait(20);
        const victim = kill % products.length;
        await products[victim]!.stop('SIGKILL');
        result.kills++;
        products[victim] = await processes.start({ PORT: ports[victim]!, SANDBOX: 'false' });
        if (settings.restart && kill === Math.ceil(settings.kills / 2)) {
          const database = await processes.look();
          await sql`select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()`.execute(database.db);
        }
      }
    };
    await Promise.all([...Array.from({ length: concurrency }, sender), killer()]);
    // A last word of each record, as providers send with each change.
    for (const externalId of ids) await send(`last ${externalId}`, externalId);

    const waiting = async () => {
      const { data } = await pick().graphql(
        `{ connections { received: deliveries(status: RECEIVED, first: 1) { nodes { id } }
          failed: deliveries(status: FAILED, first: 1) { nodes { id } } } }`,
        {},
        { 'x-account-id': 'acme' },
      );
      const [own] = data.connections;
      return own.received.nodes.length + own.failed.nodes.length;
    };
    // The lease of one that was killed, and then the backlog.
    const giveUpAt = performance.now() + 90_000 + settings.deliveries * 20;
    while ((await waiting()) > 0 && performance.now() < giveUpAt) await wait(500);

    const provider = await Promise.all(
      ids.map(async (externalId) => {
        const { data } = await pick().graphql(
          'query ($id: ID!) { connections { record(resource: "Invoice", externalId: $id) { payload } } }',
          { id: externalId },
          { 'x-account-id': 'acme' },
        );
        return [externalId, data.connections[0].record?.payload ?? null] as const;
      }),
    );
    await Promise.all(products.map((product) => product.stop('SIGKILL')));
    const { db } = await processes.look();
    const rows = await db.selectFrom('webhook_deliveries').select(['event_id', 'status']).execute();
    const counts = new Map<string, number>();
    for (const { event_id: id } of rows) {
      const [name] = JSON.parse(id) as [string];
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    const records = await db
      .selectFrom('external_records')
      .select(['external_id', 'payload'])
      .where('resource', '=', 'Invoice')
      .execute();
    const stored = new Map(records.map((row) => [row.external_id, row.payload]));
    const told = await db
      .selectFrom('sync_events')
      .select(['external_id', 'kind', 'sequence'])
      .where('kind', 'like', 'RECORD_%')
      .where('resource', '=', 'Invoice')
      .orderBy('sequence')
      .execute();
    // Each record is news once, gone at most once, and changed no more often than the provider changed it.
    const wrongEvents = [...Map.groupBy(told, (event) => event.external_id!)].filter(([id, own]) => {
      const count = (of: string) => own.filter(({ kind }) => kind === of).length;
      const exists = stored.get(id) != null;
      return (
        count('RECORD_CREATED') !== (exists ? 1 : 0) ||
        count('RECORD_DELETED') !== (exists ? 0 : 1) ||
        count('RECORD_UPDATED') > (changed.get(id) ?? 0)
      );
    }).length;
    const of = (status: string) => rows.filter((row) => row.status === status).length;
    return {
      ...result,
      acknowledged: acknowledged.size,
      lost: [...acknowledged].filter((name) => !counts.has(name)).length,
      doubled: [...counts.values()].filter((count) => count > 1).length,
      unfinished: of('RECEIVED') + of('FAILED'),
      forged: [...forged].filter((name) => counts.has(name)).length,
      dead: of('DEAD'),
      wrongRecords: provider.filter(
        ([id, payload]) =>
          payload !== null && JSON.stringify(sorted(stored.get(id))) !== JSON.stringify(sorted(payload)),
      ).length,
      wrongEvents,
      seconds: Math.round((performance.now() - startedAt) / 1_000),
    };
  } finally {
    await processes.close();
  }
}

/** `jsonb` keeps no order of members. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, own]) => [name, sorted(own)]),
  );
}
