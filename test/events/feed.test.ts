import type { KyselyPlugin } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock as clock } from '../../src/clock.ts';
import type { Database } from '../../src/db/database.ts';
import { appendEvents, sequenceOf, type SyncEvent } from '../../src/events/events.ts';
import { createEventFeed, CursorError, type EventFeed } from '../../src/events/feed.ts';
import { databaseKinds } from '../support/databases.ts';
import { newEvent, until } from '../subscriptions/support.ts';

describe.each(databaseKinds)('the feed of events, %s', (_kind, open) => {
  let database: Database;
  let feed: EventFeed;
  let troubles: unknown[];
  beforeEach(async () => {
    database = await open();
    troubles = [];
    feed = createEventFeed({ db: database.db, clock, onTrouble: (error) => troubles.push(error) });
    feed.start();
  });
  afterEach(async () => {
    await feed.stop();
    await database.close();
    if (troubles.length > 0) throw new Error('the feed was in trouble', { cause: troubles[0] });
  });

  /** Tells the feed, unless a NOTIFY is to have been lost. */
  const append = async (count = 1, accountId = 'acme', tell = true) => {
    const events = Array.from({ length: count }, () => newEvent({}));
    await database
      .forAccount(accountId)
      .transaction()
      .execute((trx) => appendEvents(trx, accountId, events, clock));
    if (tell) feed.changed.notified(accountId);
    return events.map(({ id }) => id!);
  };
  const follow = async (after?: string, accountId = 'acme', onTooSlow?: (cursor: string) => void) => {
    const events = await feed.follow(accountId, { after, onTooSlow });
    const received: SyncEvent[] = [];
    const read = async () => {
      for await (const event of events) received.push(event);
      return received;
    };
    return { events, received, read, ids: () => received.map(({ id }) => id) };
  };
  const cursorOf = (sequence: number) => Buffer.from(String(sequence)).toString('base64url');

  it('begins with what happens from now on', async () => {
    await append(3);
    const reader = await follow();
    void reader.read();
    const ids = await append(2);
    await until(() => reader.received.length === 2);
    expect(reader.ids()).toEqual(ids);
  });

  it('begins after a cursor, in pages and past what is kept', async () => {
    const ids = await append(1_500);
    const reader = await follow(cursorOf(100));
    void reader.read();
    const more = await append(10);
    await until(() => reader.received.length === 1_410);
    expect(reader.ids()).toEqual([...ids.slice(100), ...more]);
  });

  it('gives every reader each event once and in order while several write', async () => {
    const readers = await Promise.all(Array.from({ length: 10 }, () => follow(cursorOf(0))));
    for (const reader of readers) void reader.read();
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        for (let i = 0; i < 25; i++) {
          await append(1 + (i % 3));
          await clock.sleep(clock.random() * 4);
        }
      }),
    );
    const rows = await database.db.selectFrom('sync_events').select(['id']).orderBy('sequence').execute();
    for (const reader of readers) {
      await until(() => reader.received.length >= rows.length);
      expect(reader.ids()).toEqual(rows.map(({ id }) => id));
    }
  });

  it('loses nothing where readers come and go while events are appended', async () => {
    let writing = true;
    const writer = (async () => {
      while (writing) {
        await append();
        await clock.sleep(1);
      }
    })();
    for (let round = 0; round < 40; round++) {
      // Nobody else follows: each time the account's tail is opened anew, in the midst of it.
      const reader = await follow(cursorOf(0));
      void reader.read();
      await until(() => reader.received.length > round);
      await reader.events.return!();
      const sequences = reader.received.map(({ cursor }) =>
        Number(Buffer.from(cursor, 'base64url').toString()),
      );
      expect(sequences).toEqual(sequences.map((_, i) => i + 1));
    }
    writing = false;
    await writer;
  });

  it('is not misled by what is appended while it finds out where an account begins', async () => {
    const gate = Promise.withResolvers<void>();
    await feed.stop();
    feed = createEventFeed({
      db: withLateCounters(database.db, gate.promise),
      clock,
      onTrouble: (error) => troubles.push(error),
    });
    const following = follow(cursorOf(3));
    await append(3);
    await clock.sleep(50);
    const ids = await append(1, 'acme', false);
    gate.resolve();
    const reader = await following;
    void reader.read();
    await until(() => reader.received.length === 1);
    expect(reader.ids()).toEqual(ids);
  });

  it('does not take a late answer about its counter for an account that begins anew', async () => {
    await feed.stop();
    const late: KyselyPlugin = {
      transformQuery: ({ node }) => node,
      async transformResult({ result }) {
        if (result.rows[0] && 'last' in result.rows[0]) await clock.sleep(100);
        return result;
      },
    };
    feed = createEventFeed({
      db: database.db.withPlugin(late),
      clock,
      onTrouble: (error) => troubles.push(error),
    });
    feed.start();
    const reader = await follow();
    void reader.read();
    for (let i = 0; i < 150; i++) {
      await append();
      await clock.sleep(10);
    }
    await until(() => reader.received.length >= 150);
    await clock.sleep(100);
    expect(reader.received).toHaveLength(150);
  });

  it('finds by itself within two seconds what nobody told it', async () => {
    const reader = await follow();
    void reader.read();
    const ids = await append(2, 'acme', false);
    await until(() => reader.received.length === 2, 2_000);
    expect(reader.ids()).toEqual(ids);
  });

  it('looks at once when the line for notifications is back', async () => {
    const reader = await follow();
    void reader.read();
    await append(1, 'acme', false);
    const startedAt = performance.now();
    feed.changed.connected?.();
    await until(() => reader.received.length === 1, 2_000);
    expect(performance.now() - startedAt).toBeLessThan(500);
  });

  it('gives one account nothing of another', async () => {
    const reader = await follow(undefined, 'acme');
    void reader.read();
    await append(5, 'rival');
    const [id] = await append(1, 'acme');
    await until(() => reader.received.length === 1);
    expect(reader.ids()).toEqual([id]);
  });

  it.each([
    ['no cursor', 'nonsense', 'BAD_USER_INPUT'],
    ['a place that is not reached yet', cursorOf(4), 'BAD_USER_INPUT'],
    ['a fraction', cursorOf(1.5), 'BAD_USER_INPUT'],
    ['a place before the first', cursorOf(-1), 'BAD_USER_INPUT'],
    ['a place that is no longer kept', cursorOf(0), 'CURSOR_EXPIRED'],
  ])('refuses %s', async (_, after, code) => {
    await append(3);
    await database.db.deleteFrom('sync_events').where('sequence', '=', 1).execute();
    const refused = await follow(after).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(CursorError);
    expect((refused as CursorError).code).toBe(code);
    expect(feed.readers()).toBe(0);
  });

  it('takes a cursor that another process has given, of what this one has not seen', async () => {
    await append(3);
    await follow();
    const ids = await append(5, 'acme', false);
    const reader = await follow(cursorOf(6));
    void reader.read();
    await until(() => reader.received.length === 2);
    expect(reader.ids()).toEqual(ids.slice(3));
  });

  it('ends a reader that asks for nothing, and tells it where it was', async () => {
    let told: string | undefined;
    const slow = await follow(undefined, 'acme', (cursor) => (told = cursor));
    await append(1);
    const { value } = await slow.events.next();
    const reader = await follow();
    void reader.read();
    await append(300);
    await until(() => told !== undefined, 10_000);
    expect(told).toBe((value as SyncEvent).cursor);
    expect(await slow.events.next()).toEqual({ done: true, value: undefined });
    expect(reader.received).toHaveLength(300);
    const again = await follow(told);
    void again.read();
    await until(() => again.received.length === 300);
  });

  it('ends readers by return and with itself', async () => {
    const [first, second] = [await follow(), await follow()];
    expect(feed.readers()).toBe(2);
    const reads = [first.read(), second.read()];
    await first.events.return!();
    expect(feed.readers()).toBe(1);
    await feed.stop();
    expect(await Promise.all(reads)).toEqual([[], []]);
    expect(feed.readers()).toBe(0);
  });

  it('gives a reader only what it wants: of the past, in pages, and of what comes', async () => {
    const ids = await append(1_500);
    const received: string[] = [];
    const isWanted = ({ cursor }: SyncEvent) => sequenceOf(cursor) % 500 === 0;
    const events = await feed.follow('acme', { after: cursorOf(0), isWanted });
    void (async () => {
      for await (const { id } of events) received.push(id);
    })();
    await until(() => received.length === 3);
    for (let i = 0; i < 10; i++) ids.push(...(await append(100)));
    await until(() => received.length >= 5);
    expect(received).toEqual([499, 999, 1_499, 1_999, 2_499].map((i) => ids[i]));
  });
});

/** The same database, whose counters are read no sooner than `gate` opens. */
function withLateCounters(db: Database['db'], gate: Promise<void>): Database['db'] {
  const late = (_table: 'event_sequences') => ({
    select: (column: 'last_sequence') => ({
      where: (name: 'account_id', _is: '=', accountId: string) => ({
        async executeTakeFirst() {
          await gate;
          return db
            .selectFrom('event_sequences')
            .select(column)
            .where(name, '=', accountId)
            .executeTakeFirst();
        },
      }),
    }),
  });
  return new Proxy(db, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      if (key !== 'selectFrom') return value.bind(target) as unknown;
      return (table: 'event_sequences' | 'sync_events') =>
        table === 'event_sequences' ? late(table) : target.selectFrom(table);
    },
  });
}
