import { sql, type Kysely } from 'kysely';
import type { ConnectionStatus, Tables } from '../db/tables.ts';
import { counted, shown, UsageError, type Command } from './command.ts';

const pageSize = 500;
const statuses: readonly ConnectionStatus[] = ['PENDING', 'ACTIVE', 'NEEDS_REAUTHORIZATION', 'DISCONNECTED'];

interface Row {
  accountId: string;
  id: string;
  integrationId: string;
  status: ConnectionStatus;
  externalId: string | null;
  problemCode: string | null;
  connectedAt: Date | null;
  tokenExpiresAt: Date | null;
  refreshTokenExpiresAt: Date | null;
}

/** Column, heading, least width. What is wider moves the rest of its line; nothing is cut off. */
const columns: readonly [keyof Row, string, number][] = [
  ['accountId', 'ACCOUNT', 12],
  ['id', 'ID', 36],
  ['integrationId', 'INTEGRATION', 16],
  ['status', 'STATUS', 21],
  ['externalId', 'EXTERNAL ID', 19],
  ['problemCode', 'PROBLEM', 24],
  ['connectedAt', 'CONNECTED', 20],
  ['tokenExpiresAt', 'TOKEN EXPIRES', 20],
  ['refreshTokenExpiresAt', 'REFRESH TOKEN ENDS', 20],
];

export const connectionsList: Command = {
  verb: ['connections', 'list'],
  operands: [],
  options: {
    account: { type: 'string', value: '<accountId>', says: 'only of this account' },
    status: { type: 'string', value: '<status>', says: statuses.join(', ') },
    integration: { type: 'string', value: '<id>', says: 'only to this integration' },
    json: { type: 'boolean', says: 'one JSON object a line' },
  },
  summary: 'Lists connections, by account: what they are connected to, and how they are.',
  details: `Times are UTC. "-" stands for what there is not. Without secrets.`,
  async run({ options, open, print }) {
    const json = options['json'] === true;
    const status = options['status'] as ConnectionStatus | undefined;
    if (status !== undefined && !statuses.includes(status))
      throw new UsageError(`--status ${status} is none of ${statuses.join(', ')}`);
    const filter: Filter = {
      accountId: options['account'] as string | undefined,
      integrationId: options['integration'] as string | undefined,
      status,
    };
    const { db } = await open();
    let count = 0;
    let widths: number[] | undefined;
    for (let after: Row | undefined; ;) {
      const rows = await readPage(db, filter, after);
      after = rows.at(-1);
      if (!after) break;
      count += rows.length;
      if (json) {
        await print(rows.map((row) => JSON.stringify(row)).join('\n'));
        continue;
      }
      if (!widths) {
        widths = columns.map(([name, , least]) =>
          Math.max(least, ...rows.map((row) => cell(row[name]).length)),
        );
        await print(
          line(
            columns.map(([, heading]) => heading),
            widths,
          ),
        );
      }
      const fixed = widths;
      await print(
        rows
          .map((row) =>
            line(
              columns.map(([name]) => cell(row[name])),
              fixed,
            ),
          )
          .join('\n'),
      );
    }
    if (!json) await print(counted(count, 'connection'));
    return 0;
  },
};

interface Filter {
  accountId: string | undefined;
  integrationId: string | undefined;
  status: ConnectionStatus | undefined;
}

function readPage(
  db: Kysely<Tables>,
  { accountId, integrationId, status }: Filter,
  after: Row | undefined,
): Promise<Row[]> {
  return db
    .selectFrom('connections as c')
    .leftJoin('oauth_tokens as t', (join) =>
      join.onRef('t.account_id', '=', 'c.account_id').onRef('t.connection_id', '=', 'c.id'),
    )
    .select([
      'c.account_id as accountId',
      'c.id',
      'c.integration_id as integrationId',
      'c.status',
      'c.external_id as externalId',
      sql<string | null>`c.problem->>'code'`.as('problemCode'),
      'c.connected_at as connectedAt',
      't.expires_at as tokenExpiresAt',
      't.refresh_token_expires_at as refreshTokenExpiresAt',
    ])
    .$if(accountId !== undefined, (query) => query.where('c.account_id', '=', accountId!))
    .$if(integrationId !== undefined, (query) => query.where('c.integration_id', '=', integrationId!))
    .$if(status !== undefined, (query) => query.where('c.status', '=', status!))
    .$if(after !== undefined, (query) =>
      query.where(sql<boolean>`(c.account_id, c.id) > (${after!.accountId}, ${after!.id})`),
    )
    .orderBy('c.account_id')
    .orderBy('c.id')
    .limit(pageSize)
    .execute();
}

function cell(value: string | Date | null): string {
  if (value === null) return '-';
  return typeof value === 'string' ? shown(value) : value.toISOString().replace(/\.\d+Z$/, 'Z');
}

function line(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((text, i) => text.padEnd(widths[i]!))
    .join('  ')
    .trimEnd();
}
