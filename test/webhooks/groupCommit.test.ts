import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { intuitScheme } from '../../src/providers/signatures.ts';
import { createGroupCommit, NotStored } from '../../src/webhooks/groupCommit.ts';
import { sign } from '../../src/webhooks/verify.ts';
import { openCore, webhookSecret, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { manualClock } from '../support/manualClock.ts';
import { cloudEvents } from '../support/webhooks.ts';

interface Write {
  rows: readonly number[];
  end(error?: Error): void;
}

describe('a group commit', () => {
  const open = (more = {}) => {
    const clock = manualClock();
    const writes: Write[] = [];
    const commits = createGroupCommit<number>({
      write: (rows) =>
        new Promise((resolve, reject) => {
          writes.push({ rows, end: (error) => (error ? reject(error) : resolve()) });
        }),
      ...{ rowsAtOnce: 10, batchesInFlight: 2, mostWaitingRows: 30, patienceMs: 2_500, clock },
      ...more,
    });
    const outcome = (rows: number[]) =>
      commits.store(rows).then(
        () => 'stored',
        (error: unknown) => (error instanceof NotStored ? error.message : error),
      );
    return { clock, writes, commits, outcome };
  };

  it('writes at once where nothing is on its way, and together what comes while two batches are', async () => {
    const { clock, writes, outcome } = open();
    const first = outcome([1]);
    await clock.advance(0);
    expect(writes.map(({ rows }) => rows)).toEqual([[1]]);
    const second = outcome([2]);
    await clock.advance(0);
    const third = [3, 4, 5].map((row) => outcome([row]));
    await clock.advance(0);
    expect(writes.map(({ rows }) => rows)).toEqual([[1], [2]]);
    writes[0]!.end();
    await clock.advance(0);
    expect(await first).toBe('stored');
    expect(writes.map(({ rows }) => rows)).toEqual([[1], [2], [3, 4, 5]]);
    writes[1]!.end();
    writes[2]!.end();
    expect(await Promise.all([second, ...third])).toEqual(Array.from({ length: 4 }, () => 'stored'));
  });

  it('hands the next batch over before those of the last hear of it', async () => {
    const { clock, writes, outcome } = open({ batchesInFlight: 1 });
    let isTold = false;
    const first = outcome([1]).then(() => (isTold = true));
    await clock.advance(0);
    const second = outcome([2]);
    await clock.advance(0);
    writes[0]!.end();
    await new Promise(process.nextTick);
    expect(writes.map(({ rows }) => rows)).toEqual([[1], [2]]);
    expect(isTold).toBe(false);
    writes[1]!.end();
    await Promise.all([first, second]);
  });

  it('leaves the event loop its turns where the database answers without it', async () => {
    let written = 0;
    const write = () => Promise.resolve(void written++);
    const { outcome } = open({ write, rowsAtOnce: 1, batchesInFlight: 1 });
    const all = Promise.all(Array.from({ length: 20 }, (_, row) => outcome([row])));
    const seen: number[] = [];
    while (written < 20) {
      await new Promise(setImmediate);
      seen.push(written);
    }
    expect(new Set(seen).size).toBeGreaterThanOrEqual(10);
    expect(new Set(await all)).toEqual(new Set(['stored']));
  });

  it('closes a batch once it is full, and splits no request', async () => {
    const { clock, writes, outcome } = open();
    const requests = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [10, 11, 12], [13]];
    const all = requests.map((rows) => outcome(rows));
    await clock.advance(0);
    expect(writes.map(({ rows }) => rows)).toEqual([[...requests[0]!, ...requests[1]!], [13]]);
    for (const one of writes) one.end();
    expect(await Promise.all(all)).toEqual(['stored', 'stored', 'stored']);
  });

  it('refuses at once what has no room, and takes a request of any size where nobody waits', async () => {
    const { clock, writes, outcome } = open();
    const big = outcome(Array.from({ length: 100 }, (_, i) => i));
    await clock.advance(0);
    const other = outcome([1]);
    await clock.advance(0);
    const waiting = outcome(Array.from({ length: 30 }, (_, i) => i));
    expect(await outcome([2])).toBe('too many are waiting');
    for (let i = 0; i < 3; i++) {
      writes[i]!.end();
      await clock.advance(0);
    }
    expect(await Promise.all([big, other, waiting])).toEqual(['stored', 'stored', 'stored']);
    const again = outcome([2]);
    await clock.advance(0);
    writes[3]!.end();
    expect(await again).toBe('stored');
  });

  it('gives up on what takes too long, does not write what nobody waits for, and goes on afterwards', async () => {
    const { clock, writes, outcome } = open();
    const slow = [outcome([1])];
    await clock.advance(0);
    slow.push(outcome([2]));
    await clock.advance(0);
    slow.push(outcome([3]));
    await clock.advance(2_499);
    const late = outcome([4]);
    await clock.advance(1);
    expect(await Promise.all(slow)).toEqual(Array.from({ length: 3 }, () => 'it took too long'));
    writes[0]!.end();
    writes[1]!.end(new Error('a late failure'));
    await clock.advance(0);
    expect(writes.map(({ rows }) => rows)).toEqual([[1], [2], [4]]);
    writes[2]!.end();
    expect(await late).toBe('stored');
    expect(clock.sleeping()).toBe(0);
  });

  it('fails a batch as a whole, and no other', async () => {
    const { clock, writes, outcome } = open();
    const bad = outcome([1]);
    await clock.advance(0);
    const good = outcome([2]);
    await clock.advance(0);
    writes[0]!.end(new Error('away'));
    writes[1]!.end();
    expect(await Promise.all([bad, good])).toEqual(['the database did not take it', 'stored']);
  });
});

describe.each(databaseKinds)('webhooks that arrive together, %s', (_kind, open) => {
  let product: TestCore;
  beforeEach(async () => {
    product = await openCore(open);
    await product.connected('acme');
  });
  afterEach(() => product.close());

  const send = (externalId: number, id: string = randomUUID()) => {
    const event = { id, realm: '9341452881001001', entity: 'invoice', externalId: String(externalId) };
    const body = Buffer.from(JSON.stringify(cloudEvents([event])));
    const headers = { 'content-type': 'application/json', ...sign(intuitScheme, webhookSecret, body) };
    return product.receiver.receive({ integrationId: 'quickbooks', headers, body });
  };

  it.each([1, 50, 100, 1_000])('make one statement for each hundred: %i', async (count) => {
    product.statements.length = 0;
    const answers = await Promise.all(Array.from({ length: count }, (_, i) => send(i)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(product.statements.length).toBe(Math.ceil(count / 100));
    product.statements.length = 0;
    await Promise.all(Array.from({ length: 100 }, () => send(1, 'the same')));
    expect(product.statements.length).toBe(1);
  });

  it('are stored, once, although they had been given up on', async () => {
    const ids = Array.from({ length: 20 }, () => randomUUID());
    await Promise.all(ids.map((id, i) => send(i, id)));
    await Promise.all(ids.map((id, i) => send(i, id)));
    const rows = await product.db.selectFrom('webhook_deliveries').select('event_id').execute();
    expect(new Set(rows.map(({ event_id: id }) => id)).size).toBe(20);
    expect(rows).toHaveLength(20);
  });

  it('are refused with 503 and Retry-After when the queue is full', async () => {
    const body = Buffer.from(
      JSON.stringify(
        cloudEvents(
          Array.from({ length: 4_000 }, (_, i) => ({
            ...{ id: `${i}`, realm: 'x', entity: 'invoice', externalId: '1' },
          })),
        ),
      ),
    );
    expect(body.length).toBeGreaterThan(0);
    const headers = { 'content-type': 'application/json', ...sign(intuitScheme, webhookSecret, body) };
    const answers = await Promise.all(
      Array.from({ length: 6 }, () =>
        product.receiver.receive({ integrationId: 'quickbooks', headers, body }),
      ),
    );
    const refused = answers.filter(({ status }) => status === 503);
    expect(refused.length).toBeGreaterThan(0);
    for (const answer of refused) expect(answer.retryAfterSeconds).toBeGreaterThan(0);
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(0);
  });
});
