import { sql, type Kysely } from 'kysely';
import { createBackground } from '../background.ts';
import type { Clock } from '../clock.ts';
import type { Listener } from '../db/notifications.ts';
import { encodeCursor } from '../db/pages.ts';
import type { Tables } from '../db/tables.ts';
import { eventOf, sequenceOf, type SyncEvent, type SyncEventRow } from './events.ts';

/**
 * The events of accounts as they come, for any number of readers in this process. What is read is always the table:
 * NOTIFY only says when to look, and every second somebody looks anyway. Of each account that is followed, the last
 * events are kept once, whoever reads them; a reader is a position and nothing more, so a slow one costs no memory. It
 * reads the table again where it has fallen behind what is kept.
 */
export interface EventFeed {
  /**
   * One reader, that starts after the event with the cursor `after`, else with what happens from now on. Each event comes once, in
   * order, without a gap, until it is returned from, `signal` or the end of the feed.
   *
   * @throws {CursorError} `after` is not a place in the account's history, or what follows it is no longer kept
   */
  follow(accountId: string, options: FollowOptions): Promise<AsyncIterableIterator<SyncEvent, undefined>>;
  /** For the channel `eventChannel`. */
  changed: Listener;
  /** How many read now. */
  readers(): number;
  start(): void;
  /** Ends every reader's sequence. */
  stop(): Promise<void>;
}

export interface FollowOptions {
  after?: string | undefined;
  /** Ends it, as `return` does; a signal for each reader is what costs most of a reader. */
  signal?: AbortSignal | undefined;
  /**
   * Called once when the reader is far behind and has asked for nothing for a while: it should be told to come back
   * with this cursor. Its sequence ends.
   */
  onTooSlow?: ((cursor: string) => void) | undefined;
}

export class CursorError extends Error {
  override readonly name = 'CursorError';
  readonly code: 'BAD_USER_INPUT' | 'CURSOR_EXPIRED';
  constructor(code: CursorError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** Events of one account that are kept for its readers. */
const keptEvents = 1_024;
const pageSize = 200;
const accountsAtOnce = 100;
const lookEveryMs = 1_000;
/** Behind by so many, and silent for so long: too slow. */
const farBehind = 256;
const silentMs = 5_000;

/** What is kept of one account while somebody follows it. */
interface Tail {
  accountId: string;
  /** Of the newest event that was read. */
  last: number;
  /** The newest events, without a gap, up to `last`. */
  kept: SyncEvent[];
  readers: Set<Reader>;
  opened: Promise<void>;
}

interface Reader {
  /** The sequence of the event that it was given last. */
  position: number;
  /** Read for it alone, where it is behind what is kept. */
  page: SyncEvent[];
  ended: boolean;
  /** When it was last given something; undefined while it waits for more. */
  askedAt: number | undefined;
  wake: (() => void) | undefined;
  end(): void;
  onTooSlow: ((cursor: string) => void) | undefined;
}

export function createEventFeed(deps: {
  db: Kysely<Tables>;
  clock: Clock;
  onTrouble(error: unknown): void;
}): EventFeed {
  const { db, clock, onTrouble } = deps;
  const tails = new Map<string, Tail>();
  const dirty = new Set<string>();
  let looking: Promise<void> | undefined;
  let stopped = false;

  const wakeAll = (tail: Tail) => {
    for (const reader of tail.readers) reader.wake?.();
  };

  const readAfter = async (positions: readonly { accountId: string; last: number }[]) => {
    const { rows } = await sql<SyncEventRow>`
      select e.* from unnest(${positions.map((one) => one.accountId)}::text[],
        ${positions.map((one) => one.last)}::bigint[]) as p (account_id, last)
      cross join lateral (select * from sync_events
        where account_id = p.account_id and sequence > p.last order by sequence limit ${pageSize}) e
      order by e.account_id, e.sequence`.execute(db);
    return Map.groupBy(rows, (row) => row.account_id);
  };

  /** One statement for all accounts that may have something new, until none has. */
  const look = async () => {
    while (dirty.size > 0 && !stopped) {
      const ids = [...dirty].slice(0, accountsAtOnce);
      for (const id of ids) dirty.delete(id);
      const due = ids.map((id) => tails.get(id)).filter((tail) => tail !== undefined);
      if (due.length === 0) continue;
      // One that is being opened does not know yet where it begins: read before that, its events would be misplaced.
      await Promise.allSettled(due.map(({ opened }) => opened));
      let found: Awaited<ReturnType<typeof readAfter>>;
      try {
        found = await readAfter(due);
      } catch (error) {
        for (const tail of due) dirty.add(tail.accountId);
        throw error;
      }
      for (const tail of due) {
        const rows = found.get(tail.accountId) ?? [];
        for (const row of rows) {
          const event = eventOf(row);
          // Erased accounts begin again; retention may have taken what was never read.
          if (Number(row.sequence) !== tail.last + 1) tail.kept.length = 0;
          tail.kept.push(event);
          tail.last = Number(row.sequence);
        }
        if (tail.kept.length > 2 * keptEvents) tail.kept.splice(0, tail.kept.length - keptEvents);
        if (rows.length === pageSize) dirty.add(tail.accountId);
        if (rows.length > 0) wakeAll(tail);
      }
    }
  };
  const lookSoon = () => {
    looking ??= Promise.resolve()
      .then(look)
      .catch(onTrouble)
      .finally(() => {
        looking = undefined;
      });
    return looking;
  };
  const mayHave = (accountId: string) => {
    if (!tails.has(accountId)) return;
    dirty.add(accountId);
    void lookSoon();
  };

  const dropSlow = () => {
    const silentSince = clock.monotonic() - silentMs;
    for (const tail of tails.values())
      for (const reader of tail.readers)
        if (
          reader.askedAt !== undefined &&
          reader.askedAt < silentSince &&
          tail.last - reader.position > farBehind
        ) {
          reader.onTooSlow?.(encodeCursor(String(reader.position)));
          reader.end();
        }
  };

  const background = createBackground(
    clock,
    lookEveryMs,
    async () => {
      dropSlow();
      if (tails.size === 0) return false;
      const seen = new Map([...tails.values()].map((tail) => [tail, tail.last]));
      const { rows } = await sql<{ account_id: string; last: number }>`
        select account_id, last_sequence as last from event_sequences
        where account_id = any(${[...tails.keys()]}::text[])`.execute(db);
      for (const { account_id: accountId, last } of rows) {
        const tail = tails.get(accountId);
        if (!tail || Number(last) === tail.last) continue;
        // An account that was erased, and has begun anew. What was read meanwhile does not count: it may be newer than
        // this answer.
        if (Number(last) < (seen.get(tail) ?? 0)) {
          Object.assign(tail, { last: 0, kept: [] });
          for (const reader of tail.readers) reader.position = 0;
        }
        dirty.add(accountId);
      }
      if (dirty.size > 0) await lookSoon();
      return false;
    },
    onTrouble,
  );

  const openTail = (accountId: string): Tail => {
    const tail: Tail = { accountId, last: 0, kept: [], readers: new Set(), opened: Promise.resolve() };
    tail.opened = (async () => {
      const row = await db
        .selectFrom('event_sequences')
        .select('last_sequence')
        .where('account_id', '=', accountId)
        .executeTakeFirst();
      tail.last = Math.max(tail.last, Number(row?.last_sequence ?? 0));
    })();
    tail.opened.catch(() => tails.delete(accountId));
    tails.set(accountId, tail);
    return tail;
  };

  /** Where reading starts. A cursor may come from a process that has seen more than this one. */
  const startOf = async (tail: Tail, after: string | undefined): Promise<number> => {
    if (after === undefined) return tail.last;
    const wrong = () => new CursorError('BAD_USER_INPUT', 'after: is not a cursor of these events.');
    const position = sequenceOf(after);
    if (!Number.isSafeInteger(position) || position < 0) throw wrong();
    if (position > tail.last) {
      dirty.add(tail.accountId);
      await lookSoon();
      if (position > tail.last) throw wrong();
    }
    if (position < tail.last && tail.last - position > tail.kept.length) {
      const next = await db
        .selectFrom('sync_events')
        .select('sequence')
        .where('account_id', '=', tail.accountId)
        .where('sequence', '>', position)
        .orderBy('sequence')
        .limit(1)
        .executeTakeFirst();
      if (Number(next?.sequence) !== position + 1)
        throw new CursorError(
          'CURSOR_EXPIRED',
          'after: what followed this cursor is no longer kept. Read the present state, and subscribe without it.',
        );
    }
    return position;
  };

  const next = async (tail: Tail, reader: Reader): Promise<SyncEvent | undefined> => {
    while (!reader.ended) {
      const firstKept = tail.last - tail.kept.length + 1;
      if (reader.position >= tail.last) {
        reader.askedAt = undefined;
        await new Promise<void>((resolve) => {
          reader.wake = resolve;
        });
        reader.wake = undefined;
        continue;
      }
      let event: SyncEvent | undefined;
      if (reader.position + 1 >= firstKept) event = tail.kept[reader.position + 1 - firstKept];
      else {
        if (reader.page.length === 0) {
          const found = await readAfter([{ accountId: tail.accountId, last: reader.position }]);
          reader.page = (found.get(tail.accountId) ?? []).map(eventOf);
          // All of it was pruned under a reader that took very long.
          if (reader.page.length === 0) reader.position = firstKept - 1;
        }
        event = reader.page.shift();
      }
      if (!event) continue;
      const sequence = sequenceOf(event.cursor);
      if (sequence <= reader.position) continue;
      reader.position = sequence;
      reader.askedAt = clock.monotonic();
      return event;
    }
    return undefined;
  };

  const leave = (tail: Tail, reader: Reader) => {
    tail.readers.delete(reader);
    if (tail.readers.size === 0 && tails.get(tail.accountId) === tail) tails.delete(tail.accountId);
  };

  return {
    async follow(accountId, { after, signal, onTooSlow }) {
      const tail = tails.get(accountId) ?? openTail(accountId);
      const reader: Reader = {
        ...{ position: 0, page: [], askedAt: undefined, wake: undefined, ended: false, onTooSlow },
        end() {
          reader.ended = true;
          signal?.removeEventListener('abort', reader.end);
          leave(tail, reader);
          reader.wake?.();
        },
      };
      tail.readers.add(reader);
      try {
        await tail.opened;
        reader.position = await startOf(tail, after);
      } catch (error) {
        leave(tail, reader);
        throw error;
      }
      signal?.addEventListener('abort', reader.end, { once: true });
      if (signal?.aborted || stopped) reader.end();
      // No generator: while one waits for its next value, it cannot be returned from.
      const done = { done: true, value: undefined } as const;
      const events: AsyncIterableIterator<SyncEvent, undefined> = {
        async next() {
          const value = await next(tail, reader);
          return value ? { done: false, value } : done;
        },
        return() {
          reader.end();
          return Promise.resolve(done);
        },
        [Symbol.asyncIterator]: () => events,
      };
      return events;
    },
    changed: {
      notified: mayHave,
      connected() {
        for (const accountId of tails.keys()) dirty.add(accountId);
        if (dirty.size > 0) void lookSoon();
      },
    },
    readers: () => [...tails.values()].reduce((sum, tail) => sum + tail.readers.size, 0),
    start: () => background.start(),
    async stop() {
      stopped = true;
      for (const tail of tails.values()) for (const reader of tail.readers) reader.end();
      await background.stop();
      await looking;
    },
  };
}
