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
import { createGivenNames, type GivenNames } from './givenNames.ts';
import { tenantRole } from './secondWall.ts';
import { nameOf, type NamedQuery } from './statements.ts';
import type { Tables } from './tables.ts';

/**
 * One Kysely for an account: everything that it runs is held to that account's rows by the second wall (see
 * `secondWall.ts`); without an account, past it. Cheap, for all of them share the pool. A single statement takes one round
 * trip, with the wall as without. A text holds one statement, and none is streamed.
 *
 * A named statement (see `statements.ts`) is kept parsed by each session that has run it, and so is what the wall puts
 * before every statement. A session that no longer has one, or has one that the tables no longer fit, is given it anew.
 * Within transactions nothing is named: there it would be too late to try again.
 */
export function openForAccount(
  dialect: Dialect,
  pool: pg.Pool,
  config: Omit<KyselyConfig, 'dialect'>,
): (accountId: string | undefined) => Kysely<Tables> {
  const adapter = dialect.createAdapter();
  const compiler = dialect.createQueryCompiler();
  const names = createGivenNames();
  return (accountId) => {
    const scope = accountId === undefined ? noScope : scopeOf(accountId);
    const own: Dialect = {
      createAdapter: () => adapter,
      createQueryCompiler: () => compiler,
      createIntrospector: (db) => dialect.createIntrospector(db),
      createDriver: () => accountDriver(pool, scope, names),
    };
    return new Kysely<Tables>({ ...config, dialect: own });
  };
}

interface Statement {
  /** Empty: the session forgets it with the next one. */
  name: string;
  text: string;
  values: readonly unknown[];
}

/** Who asks, until the transaction ends: for one that a single statement makes, and to begin one of several. */
interface Scope {
  set?: Statement;
  begin(): string;
}

const noScope: Scope = { begin: () => 'begin' };

const setText = `select set_config('role', '${tenantRole}', true), set_config('integrations.account_id', $1, true)`;
const setName = nameOf(setText);

function scopeOf(accountId: string): Scope {
  return {
    set: { name: setName, text: setText, values: [accountId] },
    begin: () =>
      `begin; set local role ${tenantRole}; set local integrations.account_id = ${pg.escapeLiteral(accountId)}`,
  };
}

function accountDriver(pool: pg.Pool, scope: Scope, names: GivenNames): Driver {
  const of = (connection: DatabaseConnection) => connection as AccountConnection;
  return {
    init: () => Promise.resolve(),
    acquireConnection: async () => new AccountConnection(await pool.connect(), scope, names),
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
  readonly #names: GivenNames;
  #inTransaction = false;

  constructor(client: pg.PoolClient, scope: Scope, names: GivenNames) {
    this.#client = client;
    this.#scope = scope;
    this.#names = names;
  }

  async begin({ isolationLevel, accessMode }: TransactionSettings): Promise<void> {
    if (isolationLevel ?? accessMode)
      throw new Error('Transactions for one account have no settings of their own.');
    try {
      await this.#client.query(this.#scope.begin());
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

  async executeQuery<R>(query: CompiledQuery & Partial<NamedQuery<R>>): Promise<QueryResult<R>> {
    const statement = { name: query.name ?? '', text: query.sql, values: query.parameters };
    const { command, rowCount, rows } = this.#inTransaction
      ? await this.#client.query<R & pg.QueryResultRow>(extended(unnamed(statement)))
      : await runAlone<R>(this.#client, this.#names, this.#scope.set, statement);
    const changes = ['INSERT', 'UPDATE', 'DELETE', 'MERGE'].includes(command);
    return { rows, ...(changes && { numAffectedRows: BigInt(rowCount ?? 0) }) };
  }

  // oxlint-disable-next-line require-yield -- nothing of ours streams
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    await Promise.reject(new Error('Statements for one account are not streamed.'));
  }
}

/** Even without values: a simple query may hold several statements, and one of those may end the transaction. */
const extended = ({ name, text, values }: Statement) => ({
  ...{ name, text, values: [...values], queryMode: 'extended' },
});

const unnamed = (statement: Statement): Statement => ({ ...statement, name: '' });

/** SQLSTATE: a session does not know the name. */
const forgotten = '26000';

/** The columns are others by now, or no longer go with the types that the session took the values to have. */
const outdated = ['0A000', '42804', '42883'];

/** Once more where the session has forgotten a statement or it is outdated: nothing has happened, and it is parsed anew. */
async function runAlone<R>(
  client: pg.PoolClient,
  names: GivenNames,
  first: Statement | undefined,
  second: Statement,
): Promise<pg.QueryResult<R & pg.QueryResultRow>> {
  const run = () =>
    names.areOfUse()
      ? runPair<R>(client, first, second)
      : runPair<R>(client, first && unnamed(first), unnamed(second));
  try {
    const result = await run().catch((error: { code?: string }) => {
      if (error.code === forgotten) names.forgotten();
      else if (!outdated.includes(error.code ?? '')) throw error;
      return run();
    });
    names.answered();
    return result;
  } catch (error) {
    // Its own leads to the socket; this one to whoever asked.
    if (error instanceof Error) Error.captureStackTrace(error);
    throw error;
  }
}

/**
 * Two statements as one transaction, in one round trip; answers what the second answers. They share one Sync: the
 * server skips the second where the first fails, and commits at the Sync (PostgreSQL, "Frontend/Backend Protocol",
 * Pipelining). A Sync each would be another thing: a late cancel request that hits the first would let the second run
 * without it, as our own user.
 */
function runPair<R>(
  client: pg.PoolClient,
  first: Statement | undefined,
  second: Statement,
): Promise<pg.QueryResult<R & pg.QueryResultRow>> {
  return new Promise((resolve, reject) => {
    client.query(
      pair(first, second, (error, result) => {
        if (error) reject(error);
        else resolve(result);
      }),
    );
  });
}

/** With what `pg` knows the session to have parsed, by name. */
type Session = pg.Connection & { parsedStatements: Record<string, string> };

/** How `pg` hands the server's answers to the query that is under way; what cursors for `pg` are made of, too. */
interface Answered {
  submit(connection: Session): Error | null;
  handleDataRow(message: unknown): void;
  handleCommandComplete(message: unknown, connection: Session): void;
  handleError(error: Error, connection: Session): void;
}

type Done = (error: Error | undefined, result: pg.QueryResult) => void;

function pair(first: Statement | undefined, second: Statement, done: Done): pg.Query {
  const query = new pg.Query(extended(second), done);
  const { submit, handleDataRow, handleCommandComplete, handleError } = query as unknown as Answered;
  const names = [first?.name ?? '', second.name].filter((name) => name !== '');
  let firstIsDone = first === undefined;
  const ours: Answered = {
    submit(connection) {
      connection.stream.cork();
      try {
        // To parse what is there already would be an error, and nobody knows what an error has left there.
        for (const name of names)
          if (!connection.parsedStatements[name]) connection.close({ type: 'S', name }, true);
        if (first) {
          if (first.name === '' || !connection.parsedStatements[first.name])
            connection.parse({ ...first, types: [] }, true);
          connection.bind({ statement: first.name, values: first.values as string[] }, true);
          connection.execute({}, true);
        }
        return submit.call(query, connection);
      } finally {
        connection.stream.uncork();
      }
    },
    handleDataRow(message) {
      if (firstIsDone) handleDataRow.call(query, message);
    },
    handleCommandComplete(message, connection) {
      if (firstIsDone) return handleCommandComplete.call(query, message, connection);
      if (first?.name) connection.parsedStatements[first.name] = first.text;
      firstIsDone = true;
    },
    // `pg` takes the second to be parsed as soon as the first is.
    handleError(error, connection) {
      for (const name of names) delete connection.parsedStatements[name];
      handleError.call(query, error, connection);
    },
  };
  return Object.assign(query, ours);
}
