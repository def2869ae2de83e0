import { mkdtempSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { usualAnswerLimits } from '../../src/answers.ts';
import { systemClock as clock } from '../../src/clock.ts';
import { openDatabase } from '../../src/db/database.ts';
import { migratedPostgresUrl } from '../support/databases.ts';
import { startProduct, type Product } from '../support/product.ts';

const readers = 60;
/** On each line, one behind the other: together more than a socket buffers. */
const asked = 4;
const connections = 500;

/** Whole lists of connections, of more than a megabyte, which nobody reads. */
describe(`${readers} clients that ask for ${connections} connections ${asked} times and read nothing`, () => {
  let database: { url: string; drop(): Promise<void> };
  let product: Product;
  const lines: Socket[] = [];
  beforeEach(async () => {
    database = await migratedPostgresUrl();
    const own = await openDatabase({ databaseUrl: database.url, dataDir: '', poolSize: 1 });
    await sql`insert into connections (account_id, id, integration_id, status, scopes)
      select 'demo', gen_random_uuid(), 'quickbooks', 'DISCONNECTED', array_fill(repeat('scope', 10), array[40])
      from generate_series(1, ${connections}::int)`.execute(own.db);
    await sql`insert into sync_statuses (account_id, connection_id, resource)
      select account_id, id, 'Invoice' from connections`.execute(own.db);
    await own.close();
    product = await startProduct(
      { DATABASE_URL: database.url, SANDBOX: 'false' },
      mkdtempSync(join(tmpdir(), 'slow-readers-')),
    );
  }, 300_000);
  afterEach(async () => {
    for (const line of lines) line.destroy();
    await product.stop();
    await product.remove();
    await database.drop();
  });

  const list = `{ connections { id status scopes createdAt account { id } integration { id name }
    syncStatuses { id resource state recordCount } } }`;
  const residentMiB = () =>
    Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${product.pid}/status`, 'utf8'))![1]) / 1024;
  const open = () => {
    const { port } = new URL(product.url);
    const hex = Number(port).toString(16).toUpperCase().padStart(4, '0');
    const tcp = readFileSync('/proc/net/tcp', 'utf8').split('\n');
    return tcp.filter((line) => line.split(/\s+/)[2]?.endsWith(`:${hex}`) && line.split(/\s+/)[4] === '01')
      .length;
  };

  it('hold no more than the bound, and are hung up on', { timeout: 600_000 }, async () => {
    let bytes = 0;
    const good = async () => {
      const { data } = await product.graphql(list);
      expect(data.connections).toHaveLength(connections);
      bytes = JSON.stringify(data).length;
    };
    for (let i = 0; i < 20; i++) await good();
    const before = residentMiB();
    const body = JSON.stringify({ query: list });
    const request = `POST /graphql HTTP/1.1\r\nhost: x\r\nx-account-id: demo\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const { port } = new URL(product.url);
    const startedAt = clock.monotonic();
    let peak = before;
    let most = 0;
    const look = () => {
      peak = Math.max(peak, residentMiB());
      most = Math.max(most, open());
    };
    // One after the other: what many answers take while they are made is another matter.
    for (let i = 0; i < readers; i++) {
      const line = connect(Number(port), '127.0.0.1').pause();
      line.on('error', () => undefined);
      line.write(request.repeat(asked));
      lines.push(line);
      await good();
      look();
    }
    const giveUpAt = clock.monotonic() + 120_000;
    for (; open() > 5 && clock.monotonic() < giveUpAt; await clock.sleep(500)) look();
    const left = open();
    const overAfterMs = Math.round(clock.monotonic() - startedAt);
    await good();
    const hungUp = product.output().split('an answer was not read').length - 1;
    const report = { bytes, before, peak, after: residentMiB(), most, left, overAfterMs, hungUp };
    process.stdout.write(`${JSON.stringify(report)}\n`);
    expect(left).toBeLessThanOrEqual(5);
    // What the answers take while they are made comes on top of what is held.
    expect(peak - before).toBeLessThan(usualAnswerLimits.mostHeldBytes / 1024 / 1024 + 192);
  });
});
