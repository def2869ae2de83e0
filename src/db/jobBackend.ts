import type { ConstructorOptions } from 'pg-boss';
import type { Database, EmbeddedDatabase } from './database.ts';
import { applicationName } from './postgres.ts';

/** How soon a job of a process that died is seen and tried again: at most three times this. */
export const heartbeatSeconds = 30;

/** How pg-boss reaches the database. */
export function bossOptions(database: Database): ConstructorOptions {
  const common = {
    schedule: false,
    registerInstance: false,
    superviseIntervalSeconds: heartbeatSeconds,
    monitorIntervalSeconds: heartbeatSeconds,
  };
  if (database.kind === 'embedded')
    return { ...common, backend: 'pglite', db: embeddedSql(database), reindex: false, monitorVacuum: false };
  // Its own small pool: its maintenance must not keep requests waiting, nor be cut by their statement timeout.
  return {
    ...common,
    connectionString: database.databaseUrl,
    max: 2,
    application_name: `${applicationName} jobs`,
  };
}

/**
 * Like `fromPglite`, but through Kysely's queue for the one connection. pg-boss sends whole transactions as one text;
 * when one fails, the connection must be rolled back before anybody else's turn, or that statement fails too, and a
 * transaction that cannot begin is waited for without end.
 */
function embeddedSql({ db, pglite }: EmbeddedDatabase): NonNullable<ConstructorOptions['db']> {
  return {
    executeSql: (text, values) =>
      db.connection().execute(async () => {
        try {
          if (values?.length) return await pglite.query<object>(text, values);
          const results = await pglite.exec(text);
          return { rows: results.flatMap((result) => result.rows) };
        } catch (error) {
          await pglite.exec('rollback');
          throw error;
        }
      }),
    listen: async (channel, onNotification, onReconnect) => {
      const unlisten = await pglite.listen(channel, onNotification);
      onReconnect();
      return { close: () => unlisten() };
    },
  };
}
