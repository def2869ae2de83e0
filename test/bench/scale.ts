import { sql } from 'kysely';
import { openDatabase } from '../../src/db/database.ts';
import { myCarrierPackets } from '../../src/providers/myCarrierPackets.ts';
import { isAnnounced, type Provider } from '../../src/providers/provider.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';
import { slack } from '../../src/providers/slack.ts';
import { pollDelayMs, type Trust } from '../../src/sync/schedule.ts';
import type { Bench } from './benchmark.ts';
import { inOwnProcess } from './process.ts';
import { claimAmong, fill } from './sync.ts';

/** What docs/scale.md stands on. */
export const scale: Bench = {
  name: 'scale',
  title: 'a million connections: simulated polls, real claims and rows (takes minutes; by name only)',
  usesDatabase: true,
  byNameOnly: true,
  async run({ databaseUrl, report }) {
    for (const lostShare of [0.001, 0.05, 1])
      for (const intervalSeconds of [300, 3_600]) {
        const hours = intervalSeconds / 100;
        const options = { connections: 1_000_000, hours, intervalSeconds, lostShare };
        const found = await inOwnProcess(import.meta.url, simulate, options);
        const what = `every ${intervalSeconds} s, ${lostShare * 100} % of webhooks lost`;
        report({ metric: `polls, ${what}`, value: found.perSecond, unit: '/s' });
        report({ metric: `polls, the busiest second, ${what}`, value: found.peak, unit: '/s' });
        report({
          metric: `busiest connection's share of its budget, ${what}`,
          value: found.budget,
          unit: '%',
        });
        report({
          metric: `a lost webhook's change found after, median, ${what}`,
          value: found.lateMs / 1_000,
          unit: 's',
        });
      }
    const sizes = [1_000, 1_000_000];
    const claims = await inOwnProcess(import.meta.url, claimsAmong, { databaseUrl, sizes });
    report({
      ...{ metric: 'a claim of 16 rounds among 1,000,000 due', value: claims[1]!.ms, unit: 'ms' },
      reference: { name: 'among 1,000', value: claims[0]!.ms },
      goal: { atMost: 2 * claims[0]!.ms },
    });
    const rows = await inOwnProcess(import.meta.url, sizeOfRows, { databaseUrl });
    for (const [table, bytes] of Object.entries(rows))
      report({ metric: `a row of ${table}, with its indexes`, value: bytes, unit: 'bytes' });
  },
};

export const claimsAmong = (input: Parameters<typeof claimAmong>[0]) => claimAmong(input);

/** Of the installation that is simulated: how many connections go where, and how often something changes in them. */
const parts: { provider: Provider; share: number; changesADay: number; budgetPerMinute: number }[] = [
  { provider: quickbooks, share: 0.6, changesADay: 100, budgetPerMinute: 500 },
  { provider: slack, share: 0.3, changesADay: 40, budgetPerMinute: 20 },
  { provider: myCarrierPackets, share: 0.1, changesADay: 50, budgetPerMinute: 600 },
];
const requestsOfAPoll: Readonly<Record<string, number>> = { User: 5, Channel: 1, Carrier: 2 };
const nineToFive = (hourOfDay: number) => (hourOfDay >= 8 && hourOfDay < 18 ? 2.2 : 0.14);

/**
 * The virtual clock moves second by second; each round is polled when `schedule.ts` says so, as the product does it:
 * lists of rounds by second, no timers. Changes come by chance, more of them by day.
 */
export async function simulate(input: {
  connections: number;
  hours: number;
  intervalSeconds: number;
  /** Of all webhooks. */
  lostShare: number;
}): Promise<{ perSecond: number; peak: number; budget: number; lateMs: number }> {
  const { connections, hours, intervalSeconds, lostShare } = input;
  const kinds = parts.flatMap(({ provider, share, changesADay, budgetPerMinute }) =>
    provider.resources
      .filter((resource) => !provider.listed || provider.listed.includes(resource))
      .map((resource) => ({
        count: Math.round(connections * share),
        reads: provider.changes(resource),
        announced: isAnnounced(provider, resource),
        changesASecond: changesADay / provider.resources.length / 86_400,
        load: (requestsOfAPoll[resource] ?? 1) / budgetPerMinute,
        ...{ provider: provider.id },
      })),
  );
  const total = kinds.reduce((sum, { count }) => sum + count, 0);
  const kindOf = new Uint8Array(total);
  const quiet = new Uint8Array(total);
  const distrust = new Uint8Array(total);
  const polledAt = new Int32Array(total);
  const next = new Int32Array(total).fill(-1);
  const seconds = hours * 3_600;
  const heads = new Int32Array(seconds).fill(-1);
  const put = (round: number, at: number) => {
    if (at >= seconds) return;
    next[round] = heads[at]!;
    heads[at] = round;
  };
  let at = 0;
  for (const [kind, { count }] of kinds.entries())
    for (let i = 0; i < count; i++, at++) {
      kindOf[at] = kind;
      put(at, Math.floor(Math.random() * intervalSeconds));
    }

  let polls = 0;
  let peak = 0;
  // The second half: by then the schedule has settled.
  const settled = seconds / 2;
  const late: number[] = [];
  const loads = new Map<string, number>();
  for (let second = 0; second < seconds; second++) {
    let now = 0;
    const daily = nineToFive((8 + second / 3_600) % 24);
    for (let round = heads[second]!; round !== -1;) {
      const following = next[round]!;
      const kind = kinds[kindOf[round]!]!;
      now++;
      const waited = second - polledAt[round]!;
      polledAt[round] = second;
      const changes = poisson(kind.changesASecond * daily * waited);
      let lost = 0;
      for (let i = 0; i < changes; i++) if (Math.random() < lostShare) lost++;
      // What webhooks bring is no news to the poll.
      const isQuiet = kind.announced ? lost === 0 : changes === 0;
      quiet[round] = isQuiet ? Math.min(200, quiet[round]! + 1) : 0;
      if (kind.announced && lost > 0) distrust[round] = 3;
      else if (changes > lost && distrust[round]! > 0) distrust[round]!--;
      if (second >= settled && lost > 0 && late.length < 200_000) late.push(Math.random() * waited * 1_000);
      const trust: Trust | undefined = kind.announced
        ? { delivery: distrust[round]! > 0 ? 'POLL' : 'WEBHOOK', distrust: distrust[round]! }
        : undefined;
      const delayMs = pollDelayMs({
        ...{ intervalMs: intervalSeconds * 1_000, reads: kind.reads, quietPolls: quiet[round]!, trust },
        random: Math.random(),
      });
      if (second >= settled)
        loads.set(kind.provider, Math.max(loads.get(kind.provider) ?? 0, (kind.load * 60_000) / delayMs));
      put(round, second + Math.max(1, Math.round(delayMs / 1_000)));
      round = following;
    }
    if (second >= settled) {
      polls += now;
      peak = Math.max(peak, now);
    }
  }
  const resourcesOf = (id: string) => kinds.filter(({ provider }) => provider === id).length;
  return Promise.resolve({
    perSecond: polls / (seconds - settled),
    peak,
    budget: 100 * Math.max(...[...loads].map(([id, load]) => load * resourcesOf(id))),
    lateMs: late.toSorted((a, b) => a - b)[late.length >> 1] ?? 0,
  });
}

/** Small means only, by Knuth's product. */
function poisson(mean: number): number {
  const end = Math.exp(-mean);
  let count = 0;
  for (let product = Math.random(); product > end; product *= Math.random()) count++;
  return count;
}

/** As PostgreSQL stores them, 200,000 of each. */
export async function sizeOfRows({ databaseUrl }: { databaseUrl: string }): Promise<Record<string, number>> {
  const { db, close } = await openDatabase({ databaseUrl, dataDir: '', poolSize: 2 });
  await sql`truncate connections cascade`.execute(db);
  await fill(db, 20_000, { dueIn: "now() + random() * interval '1 hour'" });
  const count = 200_000;
  await sql`insert into external_records (account_id, connection_id, resource, external_id, payload, updated_at, fetched_at,
      account_external_id)
    select c.account_id, c.id, 'Invoice', i::text, jsonb_build_object('Id', i, 'Note', repeat(md5(random()::text), 40)),
      now(), now(), c.external_id
    from (select * from connections order by id limit 20000) c, generate_series(1, ${count / 20_000}::int) i`.execute(
    db,
  );
  await sql`insert into sync_events (account_id, sequence, id, kind, source, connection_id, integration_id, generation,
      resource, external_id, occurred_at)
    select c.account_id, i, gen_random_uuid(), 'RECORD_UPDATED', 'WEBHOOK', c.id, c.integration_id, 1, 'Invoice', i::text, now()
    from connections c, generate_series(1, ${count / 20_000}::int) i`.execute(db);
  await sql`insert into webhook_deliveries (id, account_id, integration_id, connection_id, generation, event_id, notice, status)
    select gen_random_uuid(), c.account_id, c.integration_id, c.id, 1, gen_random_uuid()::text, jsonb_build_object('kind',
      'record', 'resource', 'Invoice', 'externalId', i::text, 'change', 'UPSERTED', 'occurredAt', now()), 'PROCESSED'
    from connections c, generate_series(1, ${count / 20_000}::int) i`.execute(db);
  const sizes: Record<string, number> = {};
  for (const table of [
    ...[
      'connections',
      'sync_statuses',
      'sync_rounds',
      'external_records',
      'sync_events',
      'webhook_deliveries',
    ],
  ]) {
    const { rows } = await sql<{ bytes: number }>`
      select pg_total_relation_size(${table}::regclass)::float8 / count(*) as bytes from ${sql.table(table)}`.execute(
      db,
    );
    sizes[table] = rows[0]!.bytes;
  }
  await close();
  return sizes;
}
