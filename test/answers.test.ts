import { connect, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import fastify, { type FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { boundAnswers, type AnswerLimits } from '../src/answers.ts';
import { systemClock as clock } from '../src/clock.ts';
import { createLog } from '../src/log.ts';

/** More than a socket's buffers take, on either side. */
const answer = 'x'.repeat(16 * 1024 * 1024);
const forEver: AnswerLimits = { takeWithinMs: 600_000, mostHeldBytes: Number.MAX_SAFE_INTEGER };

describe('an answer that nobody reads', () => {
  let app: FastifyInstance;
  let logged = '';
  let asked = 0;
  /** Ours, by the client's port. A client that reads nothing does not hear that its line has gone. */
  const lines = new Map<number, Socket>();
  const clients: Socket[] = [];
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    app.server.closeAllConnections();
    await app.close();
  });

  const serve = async (limits: Partial<AnswerLimits>) => {
    app = fastify();
    logged = '';
    asked = 0;
    const log = createLog('warn', { write: (line: string) => void (logged += line) });
    boundAnswers(app, { clock, log, limits: { ...forEver, ...limits } });
    app.get('/', (_request, reply) => {
      asked++;
      return reply.type('text/plain').send(answer);
    });
    app.get('/large', (_request, reply) =>
      reply.type('text/plain').send(answer + answer.slice(answer.length / 2)),
    );
    app.get('/small', (_request, reply) => reply.send('small'));
    app.server.on('connection', (line) => lines.set(line.remotePort!, line));
    await app.listen({ port: 0, host: '127.0.0.1' });
  };
  /** Asks so many times at once, and reads nothing until `read`. */
  const ask = (times = 1, path = '/') => {
    const client = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
    clients.push(client);
    client.pause().write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`.repeat(times));
    client.on('error', () => undefined);
    let bytes = 0;
    let port = 0;
    client.on('connect', () => (port = client.localPort!));
    const hasGone = () => lines.get(port)?.destroyed;
    return {
      hasGone,
      async gone() {
        await expect.poll(hasGone, { timeout: 20_000 }).toBe(true);
      },
      leave: () => void client.destroy(),
      async read(times = 1) {
        client.on('data', (chunk: Buffer) => (bytes += chunk.length)).resume();
        await expect.poll(() => bytes, { timeout: 20_000 }).toBeGreaterThanOrEqual(times * answer.length);
      },
    };
  };
  it('ends with its line when the time is up', async () => {
    await serve({ takeWithinMs: 300 });
    await ask().gone();
    expect(logged.match(/an answer was not read/g)).toHaveLength(1);
  });

  it('waits until then', async () => {
    await serve({});
    const client = ask();
    await clock.sleep(300);
    await client.read();
    expect(client.hasGone()).toBe(false);
  });

  it('gives way, the oldest of equals first, when all of them hold too much', async () => {
    await serve({ mostHeldBytes: 2.5 * answer.length });
    const [first, second] = [ask(), ask()];
    await clock.sleep(300);
    const third = ask();
    await first.gone();
    await Promise.all([second.read(), third.read()]);
    expect(logged.match(/an answer was not read/g)).toHaveLength(1);
  });

  it('gives way, the largest first, whoever came before', async () => {
    await serve({ mostHeldBytes: 2.75 * answer.length });
    const small = ask();
    await clock.sleep(300);
    const large = ask(1, '/large');
    await clock.sleep(300);
    const third = ask();
    await large.gone();
    await Promise.all([small.read(), third.read()]);
    expect(logged.match(/an answer was not read/g)).toHaveLength(1);
  });

  it('is the only one of its line, whatever was asked for behind it', async () => {
    await serve({});
    const client = ask(3);
    await expect.poll(() => asked).toBe(1);
    await clock.sleep(300);
    expect(asked).toBe(1);
    await client.read(3);
    expect(asked).toBe(3);
  });

  it('has a hundred requests behind it at most: more end the line', async () => {
    await serve({});
    const fewer = ask(101);
    const more = ask(102);
    await more.gone();
    expect(fewer.hasGone()).toBe(false);
  });

  it('is not counted once its line is gone', async () => {
    await serve({ mostHeldBytes: 2.5 * answer.length });
    for (let i = 0; i < 4; i++) {
      const client = ask(2);
      await expect.poll(() => asked).toBe(i + 1);
      client.leave();
      await client.gone();
    }
    await ask().read();
    expect(logged).toBe('');
  });

  it('is none where it was read, however late the next one is asked for', async () => {
    await serve({ takeWithinMs: 200 });
    const { port } = app.server.address() as AddressInfo;
    const client = connect(port, '127.0.0.1');
    clients.push(client);
    for (let i = 0; i < 3; i++) {
      client.write('GET /small HTTP/1.1\r\nhost: x\r\n\r\n');
      const [chunk] = (await once(client, 'data')) as [Buffer];
      expect(chunk.toString()).toContain('small');
      await clock.sleep(300);
    }
    expect(logged).toBe('');
  });
});
