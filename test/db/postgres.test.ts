import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { sql } from 'kysely';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { ConfigurationError } from '../../src/errors.ts';
import { postgresDatabase } from '../support/databases.ts';

const open = (databaseUrl: string) => openDatabase({ databaseUrl, dataDir: '', poolSize: 2 });
const changed = (change: (url: URL) => void) => {
  const url = new URL(inject('postgresUrl'));
  change(url);
  return url.href;
};

describe('DATABASE_URL', () => {
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
  });
  /** A server that is not quite PostgreSQL; its URL. */
  const listen = async (answer: (socket: Socket) => void) => {
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => {}));
      answer(socket);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return changed((url) => (url.port = String((server.address() as AddressInfo).port)));
  };
  const message = (type: string, ...parts: (string | Buffer)[]) => {
    const body = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
    const head = Buffer.from(`${type}....`);
    head.writeInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };
  const startingUp = message('E', 'SFATAL\0C57P03\0Mthe database system is starting up\0\0');

  const cases: [title: string, url: () => string | Promise<string>, reason: RegExp][] = [
    ['with nothing behind it', () => changed((url) => (url.port = '1')), /port 1, .*nothing listens there/],
    [
      'with an unknown host',
      () => changed((url) => (url.hostname = 'nowhere.invalid')),
      /host nowhere\.invalid, .*/,
    ],
    ['with a wrong password', () => changed((url) => (url.password = 'hunter2')), /refused the password/],
    [
      'without such a database',
      () => changed((url) => (url.pathname = '/none')),
      /database none\): .*no such database/,
    ],
    [
      'of a server that hangs up',
      () => listen((socket) => socket.destroy()),
      /correct DATABASE_URL or the server$/,
    ],
  ];
  it.each(cases)('%s is refused in one line without the password', async (_title, url, reason) => {
    const error = await open(await url()).then(
      () => undefined,
      (thrown: unknown) => thrown as Error,
    );
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error!.message).toMatch(
      /^DATABASE_URL: PostgreSQL cannot be used \(host \S+, port \d+, database \w+\): /,
    );
    expect(error!.message).toMatch(reason);
    expect(`${error!.stack} ${JSON.stringify(error)} ${String(error!.cause)}`).not.toMatch(
      /hunter2|:password@/,
    );
    expect(error!.message).not.toContain('\n');
  });

  it('of a server that is starting up is tried until it is there', async () => {
    let refused = 0;
    const { hostname, port } = new URL(inject('postgresUrl'));
    const url = await listen((socket) => {
      if (refused < 3) {
        socket.once('data', () => {
          refused++;
          socket.end(startingUp);
        });
      } else {
        const upstream = connect(Number(port), hostname).on('error', () => {});
        socket.pipe(upstream).pipe(socket);
      }
    });
    const database = await open(url);
    await database.ping();
    await database.close();
    expect(refused).toBe(3);
  });

  it('of a PostgreSQL that is too old is refused', async () => {
    const ready = message('Z', 'I');
    const description = Buffer.from(
      '00017365727665725f76657273696f6e5f6e756d0000000000000000000019ffffffffffff0000',
      'hex',
    );
    const url = await listen((socket) => {
      socket.once('data', () => {
        socket.write(Buffer.concat([message('R', Buffer.alloc(4)), ready]));
        socket.on('data', () => {
          const row = message('D', Buffer.from('000100000006', 'hex'), '140021');
          socket.write(Buffer.concat([message('T', description), row, message('C', 'SHOW\0'), ready]));
        });
      });
    });
    await expect(open(url)).rejects.toThrow(
      /^DATABASE_URL leads to PostgreSQL 14 \(host 127.*: 15 or newer is needed$/,
    );
  });
});

describe('a pool', () => {
  it('survives the loss of its server, idle and within a transaction', async () => {
    const heard: string[] = [];
    const database = await postgresDatabase({ onPoolError: (error) => heard.push(error.message) });
    const other = await postgresDatabase();
    const killAll = () =>
      sql`select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'integrations-subgraph' and pid <> pg_backend_pid() and datname =
          ${new URL(database.kind === 'postgres' ? database.databaseUrl : '').pathname.slice(1)}`.execute(
        other.db,
      );
    const interrupted = database.db.transaction().execute(async (trx) => {
      await trx.insertInto('event_sequences').values({ account_id: 'a', last_sequence: 1 }).execute();
      await killAll();
      await expect.poll(() => heard.length).toBeGreaterThan(0);
      await trx.selectFrom('event_sequences').selectAll().execute();
    });
    await expect(interrupted).rejects.toThrow(/connection|terminat/i);
    expect(await database.db.selectFrom('event_sequences').selectAll().execute()).toEqual([]);

    heard.length = 0;
    await killAll();
    await expect.poll(() => heard.length).toBeGreaterThan(0);
    await database.ping();
    await database.close();
    await other.close();
  });

  it('bounds statements and idle transactions, and names itself', async () => {
    const database = await postgresDatabase();
    const { rows } = await sql<{
      name: string;
      setting: string;
    }>`select name, setting from pg_settings where name in
      ('statement_timeout', 'idle_in_transaction_session_timeout', 'application_name') order by name`.execute(
      database.db,
    );
    expect(rows.map((row) => row.setting)).toEqual(['integrations-subgraph', '60000', '30000']);
    await database.close();
  });
});
