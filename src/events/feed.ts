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
   * One reader, that starts after the event with the cursor `after`, else with what happens from now on. Each event that
   * it wants comes once, in order, without a gap, until it is returned from or the feed ends. It asks for one at a time.
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
  /** It is not given any other; all, where it does not say. */
  isWanted?: (event: SyncEvent) => boolean;
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
  /** The sequence of the last event that it was given, or did not want. */
  position: number;
  isWanted: (event: SyncEvent) => boolean;
  /** Read for it alone, where it is behind what is kept. */
  page: SyncEvent[];
  ended: boolean;
  /** When it was last given something; undefined while it waits for more. */
  givenAt: number | undefined;
  /** Ends its waiting. */
  give: ((next: Next | Promise<Next>) => void) | undefined;
  end(): void;
  onTooSlow: ((cursor: string) => void) | undefined;
}

type Next = IteratorResult<SyncEvent, undefined>;
const over: Next = { done: true, value: undefined };

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
        if (rows.length > 0) for (const reader of tail.readers) serve(tail, reader);
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
          reader.givenAt !== undefined &&
          reader.givenAt < silentSince &&
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
          for (const reader of tail.readers) Object.assign(reader, { position: 0, page: [] });
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

  /** What comes next for it, as far as it is at hand. */
  const nextAtHand = (tail: Tail, reader: Reader): Next | undefined => {
    while (!reader.ended) {
      const place = reader.position - tail.last + tail.kept.length;
      const value = place < 0 ? reader.page.shift() : tail.kept[place];
      if (!value) return undefined;
      const sequence = place < 0 ? sequenceOf(value.cursor) : reader.position + 1;
      // What is left of a page, of which it has found the rest among those that are kept.
      if (sequence <= reader.position) continue;
      reader.position = sequence;
      if (!reader.isWanted(value)) continue;
      reader.givenAt = clock.monotonic();
      return { done: false, value };
    }
    return over;
  };
  const isBehind = ({ last, kept }: Tail, { position }: Reader) => position < last - kept.length;
  const next = (tail: Tail, reader: Reader): Promise<Next> => {
    const atHand = nextAtHand(tail, reader);
    if (atHand) return Promise.resolve(atHand);
    reader.givenAt = undefined;
    if (isBehind(tail, reader)) return catchUp(tail, reader);
    return new Promise((resolve) => {
      reader.give = resolve;
    });
  };
  const catchUp = async (tail: Tail, reader: Reader): Promise<Next> => {
    while (isBehind(tail, reader)) {
      const found = await readAfter([{ accountId: tail.accountId, last: reader.position }]);
      reader.page = (found.get(tail.accountId) ?? []).map(eventOf);
      // All of it was pruned under a reader that took very long.
      if (reader.page.length === 0) reader.position = Math.max(reader.position, tail.last - tail.kept.length);
      const atHand = nextAtHand(tail, reader);
      if (atHand) return atHand;
    }
    return next(tail, reader);
  };
  /** Ends the waiting of one that waits, where there is something. */
  const serve = (tail: Tail, reader: Reader) => {
    const { give } = reader;
    if (!give) return;
    const atHand = nextAtHand(tail, reader);
    if (!atHand && !isBehind(tail, reader)) return;
    reader.give = undefined;
    give(atHand ?? catchUp(tail, reader));
  };

  const leave = (tail: Tail, reader: Reader) => {
    tail.readers.delete(reader);
    if (tail.readers.size === 0 && tails.get(tail.accountId) === tail) tails.delete(tail.accountId);
  };

  return {
    async follow(accountId, { after, isWanted = () => true, onTooSlow }) {
      const tail = tails.get(accountId) ?? openTail(accountId);
      const reader: Reader = {
        ...{ position: 0, isWanted, page: [], ended: false, givenAt: undefined, give: undefined, onTooSlow },
        end() {
          reader.ended = true;
          leave(tail, reader);
          serve(tail, reader);
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
      if (stopped) reader.end();
      // No generator: while one waits for its next value, it cannot be returned from.
      const events: AsyncIterableIterator<SyncEvent, undefined> = {
        next: () => next(tail, reader),
        return() {
          reader.end();
          return Promise.resolve(over);
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
