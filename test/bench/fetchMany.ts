import { asObject, jsonIn } from '../../src/providers/httpFaults.ts';
import { batchesOf } from '../../src/providers/batches.ts';
import type { Provider, ProviderRequest, RecordSnapshot, Target } from '../../src/providers/provider.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';
import { slack } from '../../src/providers/slack.ts';
import type { Bench } from './benchmark.ts';
import { openEmulated, type Emulated, type Reading, type Spent } from './emulated.ts';
import { inOwnProcess } from './process.ts';
import type { Report } from './report.ts';

const quickbooksSizes = [1, 10, 30, 45, 100, 400];
const slackSizes = [2, 5, 6, 10, 50];
/** Users of the workspace. */
const workspaces = [200, 1_000, 3_000];

export const fetchMany: Bench = {
  name: 'fetchMany',
  title: 'many records by their ids, by every way the API has, at 80 ms a request and 2 ms a record',
  usesDatabase: false,
  async run({ report }) {
    const byQuickBooks = await inOwnProcess(import.meta.url, measureQuickBooks, {});
    tell(report, 'QuickBooks', byQuickBooks, true);
    for (const users of workspaces)
      tell(
        report,
        `Slack, ${users} users`,
        await inOwnProcess(import.meta.url, measureSlack, { users }),
        false,
      );
  },
};

/** By set size and way; `ours` is what the provider's file does. */
type Measured = { size: number; ways: Record<string, Spent> }[];

function tell(report: Report, what: string, measured: Measured, isMetered: boolean): void {
  const metrics: [keyof Spent, string, string][] = [
    ['ms', 'ms', 'time'],
    ['requests', 'requests', 'requests'],
    ['budget', '%', 'of the tightest minute'],
    ...(isMetered ? [['metered', 'calls', 'metered'] as [keyof Spent, string, string]] : []),
  ];
  for (const { size, ways } of measured) {
    const { ours, ...others } = ways;
    for (const [member, unit, name] of metrics)
      for (const [way, spent] of Object.entries(others))
        report({
          ...{ metric: `${what}, ${size} ids: ${name}`, value: ours![member], unit },
          reference: {
            ...{ name: way, value: spent[member] },
            ...(member === 'ms' && spent.unfinished > 0 && { atLeast: true }),
          },
        });
  }
}

type Way = (target: Target, ids: readonly string[]) => Reading[];

async function measureWays(
  emulated: Emulated,
  ways: Record<string, Way>,
  { ids, sizes }: { ids: readonly string[]; sizes: readonly number[] },
): Promise<Measured> {
  const measured: Measured = [];
  // Warms up: the delays that are measured do not change from one round to the next.
  for (const way of Object.values(ways)) await emulated.run(way(emulated.target, ids.slice(0, 1)));
  for (const size of sizes) {
    // Spread over all there are, so that the last page is needed as it mostly is.
    const asked = Array.from({ length: size }, (_, i) => ids[Math.floor(((i + 1) * ids.length) / size) - 1]!);
    const spent: Record<string, Spent> = {};
    for (const [name, way] of Object.entries(ways))
      spent[name] = await emulated.run(way(emulated.target, asked));
    measured.push({ size, ways: spent });
  }
  return measured;
}

const chunks = (ids: readonly string[], size: number) =>
  Array.from({ length: Math.ceil(ids.length / size) }, (_, i) => ids.slice(i * size, (i + 1) * size));

/** What `records` of the provider's file makes of the ids. */
const asTheFileSays =
  ({ records }: Provider, resource: string, itemsOf: (page: number, ids: readonly string[]) => number): Way =>
  (target, ids) =>
    batchesOf(records, resource, ids).map((batch) => {
      const missing = new Set(batch);
      const reading = (page: string | undefined, at: number): Reading => ({
        request: records.request(target, resource, batch, page),
        items: itemsOf(at, batch),
        next(response) {
          const found: Map<string, RecordSnapshot> = records.parse(response, resource, batch);
          for (const id of found.keys()) missing.delete(id);
          const next = records.nextPage?.(response);
          return next === undefined || missing.size === 0 ? undefined : reading(next, at + 1);
        },
      });
      return reading(undefined, 0);
    });

const withBatchSize = (provider: Provider, batchSize: number): Provider => ({
  ...provider,
  records: { ...provider.records, batchSize, oneByOne: {} },
});

export async function measureQuickBooks(): Promise<Measured> {
  const realm = '9341452881001001';
  const emulated = await openEmulated(quickbooks, { externalId: realm, choose: { realmId: realm } });
  const { target } = emulated;
  const batch = (items: readonly object[]): ProviderRequest => ({
    method: 'POST',
    url: `${target.apiUrl}/v3/company/${realm}/batch?minorversion=75`,
    headers: { accept: 'application/json', 'content-type': 'application/json' },
    body: JSON.stringify({ BatchItemRequest: items.map((item, i) => ({ bId: String(i), ...item })) }),
    operation: 'batch',
    isRead: true,
  });
  const ids: string[] = [];
  for (let made = 0; made < 400; made += 25) {
    const customers = Array.from({ length: 25 }, (_, i) => ({
      operation: 'create',
      Customer: { DisplayName: `Customer of the bench ${made + i}` },
    }));
    const answer = asObject(jsonIn((await emulated.ask(batch(customers))).body));
    for (const item of answer!.BatchItemResponse as { Customer: { Id: string } }[])
      ids.push(item.Customer.Id);
  }
  const all = (_page: number, asked: readonly string[]) => asked.length;
  const query = (id: string) => `select * from Customer where Id = '${id}' and Active in (true, false)`;
  const measured = await measureWays(
    emulated,
    {
      ours: asTheFileSays(quickbooks, 'Customer', all),
      'query of 100': asTheFileSays(withBatchSize(quickbooks, 100), 'Customer', all),
      'batch of 30': (_target, asked) =>
        chunks(asked, 30).map((own) => ({
          request: batch(own.map((id) => ({ Query: query(id) }))),
          items: own.length,
        })),
      'one by one': asTheFileSays(withBatchSize(quickbooks, 1), 'Customer', all),
    },
    { ids, sizes: quickbooksSizes },
  );
  await emulated.close();
  return measured;
}

export async function measureSlack({ users }: { users: number }): Promise<Measured> {
  const team = 'T07PGLOMAHA';
  const emulated = await openEmulated(slack, { externalId: team, choose: {} });
  const present = await userIds(emulated);
  for (let i = present.length; i < users; i++)
    await emulated.admin('POST', 'slack/changes', {
      ...{ teamId: team, change: 'add-user' },
      user: { name: `user.${i}`, realName: `User ${i}` },
    });
  const ids = await userIds(emulated);
  const pagesOf = (size: number, way: Provider): Way =>
    asTheFileSays(way, 'User', (page, asked) =>
      asked.length === 1 ? 1 : Math.min(size, ids.length - page * size),
    );
  const pages200: Provider = {
    ...slack,
    records: {
      ...slack.records,
      oneByOne: {},
      request(target, resource, asked, page) {
        const { body, ...request } = slack.records.request(target, resource, asked, page);
        return { ...request, body: body!.replace('limit=999', 'limit=200') };
      },
    },
  };
  const measured = await measureWays(
    emulated,
    {
      ours: pagesOf(999, slack),
      'list, pages of 999': pagesOf(999, withBatchSize(slack, 1_000)),
      'list, pages of 200': pagesOf(200, pages200),
      'one by one': pagesOf(1, withBatchSize(slack, 1)),
    },
    { ids, sizes: slackSizes },
  );
  await emulated.close();
  return measured;
}

async function userIds({ ask, target }: Emulated): Promise<string[]> {
  const reads = slack.changes('User');
  const found: string[] = [];
  for (let at = reads.begin(null, new Date(0)), more = true; more;) {
    const page = reads.parse(await ask(reads.request(target, at)), at);
    found.push(...page.changes.map(({ externalId }) => externalId));
    more = page.next !== undefined;
    at = page.next ?? at;
  }
  return found.toSorted();
}
