import {
  AbortedTransactionError,
  Kysely,
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type KyselyConfig,
  type QueryResult,
  type TransactionSettings,
} from 'kysely';
import pg from 'pg';
import { tenantRole } from './secondWall.ts';
import type { Tables } from './tables.ts';

/**
 * One Kysely for an account: everything that it runs is held to that account's rows by the second wall (see
 * `secondWall.ts`). Cheap, for all of them share the pool. A single statement takes one round trip, as without the
 * wall. A text holds one statement, and none is streamed.
 */
export function openForAccount(
  dialect: Dialect,
  pool: pg.Pool,
  config: Omit<KyselyConfig, 'dialect'>,
): (accountId: string) => Kysely<Tables> {
  return (accountId) => {
    const scope = scopeOf(accountId);
    const own: Dialect = {
      createAdapter: () => dialect.createAdapter(),
      createQueryCompiler: () => dialect.createQueryCompiler(),
      createIntrospector: (db) => dialect.createIntrospector(db),
      createDriver: () => accountDriver(pool, scope),
    };
    return new Kysely<Tables>({ ...config, dialect: own });
  };
}

interface Statement {
  text: string;
  values: readonly unknown[];
}

/** Who asks, until the transaction ends: for one that a single statement makes, and to begin one of several. */
interface Scope {
  set: Statement;
  begin: string;
}

function scopeOf(accountId: string): Scope {
  const text = `select set_config('role', '${tenantRole}', true), set_config('integrations.account_id', $1, true)`;
  const account = pg.escapeLiteral(accountId);
  return {
    set: { text, values: [accountId] },
    begin: `begin; set local role ${tenantRole}; set local integrations.account_id = ${account}`,
  };
}

function accountDriver(pool: pg.Pool, scope: Scope): Driver {
  const of = (connection: DatabaseConnection) => connection as AccountConnection;
  return {
    init: () => Promise.resolve(),
    acquireConnection: async () => new AccountConnection(await pool.connect(), scope),
    beginTransaction: (connection, settings) => of(connection).begin(settings),
    commitTransaction: (connection) => of(connection).commit(),
    rollbackTransaction: (connection) => of(connection).rollback(),
    releaseConnection: (connection) => of(connection).release(),
    // The pool is another's to end.
    destroy: () => Promise.resolve(),
  };
}

class AccountConnection implements DatabaseConnection {
  readonly #client: pg.PoolClient;
  readonly #scope: Scope;
  #inTransaction = false;

  constructor(client: pg.PoolClient, scope: Scope) {
    this.#client = client;
    this.#scope = scope;
  }

  async begin({ isolationLevel, accessMode }: TransactionSettings): Promise<void> {
    if (isolationLevel ?? accessMode)
      throw new Error('Transactions for one account have no settings of their own.');
    try {
      await this.#client.query(this.#scope.begin);
    } catch (error) {
      // It may have begun before it failed.
      await this.rollback();
      throw error;
    }
    this.#inTransaction = true;
  }

  async commit(): Promise<void> {
    this.#inTransaction = false;
    // That is how the server answers where a statement has failed.
    if ((await this.#client.query('commit')).command === 'ROLLBACK') throw new AbortedTransactionError();
  }

  /** Never rejects: what the server cannot be told is seen to by `release`. */
  async rollback(): Promise<void> {
    this.#inTransaction = false;
    await this.#client.query('rollback').catch(() => undefined);
  }

  /** A client that is still in a transaction, whatever led there, goes, and the transaction with it. */
  release(): Promise<void> {
    this.#client.release(this.#client.getTransactionStatus() !== 'I');
    return Promise.resolve();
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const statement = { text: sql, values: parameters };
    const { command, rowCount, rows } = this.#inTransaction
      ? await this.#client.query<R & pg.QueryResultRow>(extended(statement))
      : await runPair<R>(this.#client, this.#scope.set, statement);
    const changes = ['INSERT', 'UPDATE', 'DELETE', 'MERGE'].includes(command);
    return { rows, ...(changes && { numAffectedRows: BigInt(rowCount ?? 0) }) };
  }

  // oxlint-disable-next-line require-yield -- nothing of ours streams
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    await Promise.reject(new Error('Statements for one account are not streamed.'));
  }
}

/** Even without values: a simple query may hold several statements, and one of those may end the transaction. */
const extended = ({ text, values }: Statement) => ({ text, values: [...values], queryMode: 'extended' });

/**
 * Two statements as one transaction, in one round trip; answers what the second answers. They share one Sync: the
 * server skips the second where the first fails, and commits at the Sync (PostgreSQL, "Frontend/Backend Protocol",
 * Pipelining). A Sync each would be another thing: a late cancel request that hits the first would let the second run
 * without it, as our own user.
 */
async function runPair<R>(
  client: pg.PoolClient,
  first: Statement,
  second: Statement,
): Promise<pg.QueryResult<R & pg.QueryResultRow>> {
  try {
    return await new Promise((resolve, reject) => {
      client.query(
        pair(first, second, (error, result) => {
          if (error) reject(error);
          else resolve(result);
        }),
      );
    });
  } catch (error) {
    // Its own leads to the socket; this one to whoever asked.
    if (error instanceof Error) Error.captureStackTrace(error);
    throw error;
  }
}

/** How `pg` hands the server's answers to the query that is under way; what cursors for `pg` are made of, too. */
interface Answered {
  submit(connection: pg.Connection): Error | null;
  handleDataRow(message: unknown): void;
  handleCommandComplete(message: unknown, connection: pg.Connection): void;
}

type Done = (error: Error | undefined, result: pg.QueryResult) => void;

function pair(first: Statement, second: Statement, done: Done): pg.Query {
  const query = new pg.Query(extended(second), done);
  const { submit, handleDataRow, handleCommandComplete } = query as unknown as Answered;
  let firstIsDone = false;
  const ours: Answered = {
    submit(connection) {
      connection.stream.cork();
      try {
        connection.parse({ name: '', text: first.text, types: [] }, true);
        connection.bind({ values: first.values as string[] }, true);
        connection.execute({}, true);
        return submit.call(query, connection);
      } finally {
        connection.stream.uncork();
      }
    },
    handleDataRow(message) {
      if (firstIsDone) handleDataRow.call(query, message);
    },
    handleCommandComplete(message, connection) {
      if (firstIsDone) handleCommandComplete.call(query, message, connection);
      firstIsDone = true;
    },
  };
  return Object.assign(query, ours);
}
