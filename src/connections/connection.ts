import { sql, type Kysely, type Selectable } from 'kysely';
import type { Clock } from '../clock.ts';
import { fromStored } from '../db/problems.ts';
import { statement, type Value } from '../db/statements.ts';
import type { ConnectionStatus, StoredProblem, Tables } from '../db/tables.ts';
import { problem, type IntegrationProblem } from '../errors.ts';
import type { ConnectionRef } from '../oauth/accountKeys.ts';

/** One account's link to one integration, as everybody above this folder sees it. Holds no secret. */
export interface Connection extends ConnectionRef {
  status: ConnectionStatus;
  /** Realm, team or customer at the provider. Null until the first authorization. */
  externalId: string | null;
  scopes: string[];
  problem: IntegrationProblem | null;
  /** Counts authorizations: news that carries an older one is about an earlier life of the connection. */
  generation: number;
  createdAt: Date;
  connectedAt: Date | null;
  disconnectedAt: Date | null;
  checkedAt: Date | null;
  tokenExpiresAt: Date | null;
  tokenRefreshedAt: Date | null;
  nextRefreshAt: Date | null;
  reauthorizeBy: Date | null;
}

const uuid = /^[\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}$/;
export const isUuid = (text: string): boolean => uuid.test(text);

/** One statement. Ids that are malformed, unknown or another account's are absent from the answer alike. */
export async function findConnections(
  db: Kysely<Tables>,
  clock: Clock,
  accountId: string,
  ids: readonly string[],
): Promise<Map<string, Connection>> {
  const wellFormed = ids.filter(isUuid);
  if (wellFormed.length === 0) return new Map();
  const found = await connectionsById(db, { accountId, ids: wellFormed });
  return new Map(found.map((row) => [row.id, connectionOf(row, clock)]));
}

/** All of the account's, in one statement; the newest first. */
export async function listConnections(
  db: Kysely<Tables>,
  clock: Clock,
  accountId: string,
): Promise<Connection[]> {
  const rows = await allConnections(db, { accountId });
  return rows.map((row) => connectionOf(row, clock));
}

type Row = Omit<
  Selectable<Tables['connections']>,
  'created_by' | 'profile' | 'profile_at' | 'profile_external_id' | 'probe_at' | 'records_erased_at'
> & {
  expires_at: Date | null;
  issued_at: Date | null;
  refresh_due_at: Date | null;
  refresh_token_expires_at: Date | null;
  refresh_problem: StoredProblem | null;
  refresh_retry_at: Date | null;
};

const columns = sql`c.account_id, c.id, c.integration_id, c.status, c.external_id, c.scopes, c.problem, c.generation,
  c.authorize_by, c.created_at, c.connected_at, c.disconnected_at, c.checked_at, t.expires_at, t.issued_at,
  t.refresh_due_at, t.refresh_token_expires_at, t.refresh_problem, t.refresh_retry_at`;
const token = sql`
  left join lateral (
    select * from oauth_tokens where account_id = c.account_id and connection_id = c.id limit 1
  ) t on true`;

const connectionsById = statement(
  (_, value: Value<{ accountId: string; ids: readonly string[] }>) => sql<Row>`
    select ${columns} from connections c ${token}
    where c.account_id = ${value('accountId')} and c.id = any(${value('ids')}::uuid[])`,
);

const allConnections = statement(
  (_, value: Value<{ accountId: string }>) => sql<Row>`
    select ${columns} from connections c ${token}
    where c.account_id = ${value('accountId')} order by c.created_at desc, c.id`,
);

function connectionOf(row: Row, clock: Clock): Connection {
  return {
    accountId: row.account_id,
    id: row.id,
    integrationId: row.integration_id,
    status: row.status,
    externalId: row.external_id,
    scopes: row.scopes,
    problem: problemIn(row, clock),
    generation: row.generation,
    createdAt: row.created_at,
    connectedAt: row.connected_at,
    disconnectedAt: row.disconnected_at,
    checkedAt: row.checked_at,
    tokenExpiresAt: row.expires_at,
    tokenRefreshedAt:
      row.issued_at && row.connected_at && row.issued_at > row.connected_at ? row.issued_at : null,
    nextRefreshAt: row.status === 'ACTIVE' ? row.refresh_due_at : null,
    reauthorizeBy: row.refresh_token_expires_at,
  };
}

/** The most pressing one: what was proved of the grant, then of its token, then what will be. */
function problemIn(row: Row, clock: Clock): IntegrationProblem | null {
  const known = expired(row, clock) ?? fromStored(row.problem);
  if (known || row.status !== 'ACTIVE') return known;
  return refreshFailing(row, clock) ?? ending(row, clock);
}

/** While the token endpoint is in trouble. */
function refreshFailing(row: Row, clock: Clock): IntegrationProblem | null {
  const cause = fromStored(row.refresh_problem);
  const leftMs = (row.refresh_retry_at?.getTime() ?? 0) - clock.now();
  return cause && leftMs > 0 ? { ...cause, retryAfterSeconds: Math.ceil(leftMs / 1_000) } : cause;
}

/** A refresh token runs out, and only a person can do something about it: said while there is time. */
function ending(row: Row, clock: Clock): IntegrationProblem | null {
  const endsAt = row.refresh_token_expires_at;
  if (endsAt === null || endsAt.getTime() - clock.now() > warnBeforeMs) return null;
  return problem(
    'REAUTHORIZATION_REQUIRED',
    `The authorization ends on ${endsAt.toISOString().slice(0, 10)}: connect again before.`,
    new Date(endsAt.getTime() - warnBeforeMs),
  );
}

const warnBeforeMs = 14 * 86_400_000;

/** Derived when read: nothing has to run for an abandoned authorization to show. */
function expired(row: Row, clock: Clock): IntegrationProblem | undefined {
  if (row.status !== 'PENDING' || row.authorize_by === null || row.authorize_by.getTime() > clock.now())
    return undefined;
  return problem(
    'AUTHORIZATION_EXPIRED',
    'Nobody completed the authorization: connect again.',
    row.authorize_by,
  );
}
