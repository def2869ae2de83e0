import pg from 'pg';
import type { Clock } from '../clock.ts';
import type { EmbeddedDatabase } from './database.ts';
import { applicationName } from './postgres.ts';

/**
 * What other processes tell this one, by PostgreSQL's LISTEN. A hint to look, never the news itself: what is sent
 * while the line is down is lost, so every listener is also told when the line is up (again), and reads then.
 */
export interface Notifications {
  listen(channel: string, listener: Listener): void;
  close(): Promise<void>;
}

export interface Listener {
  notified(payload: string): void;
  /** The line is up: whatever was sent before may have been missed. */
  connected?(): void;
}

const heartbeatMs = 10_000;
const answerWithinMs = 5_000;
const longestWaitMs = 5_000;

/** Of the embedded database, whose only process is this one: nothing can be missed. */
export function embeddedNotifications({ pglite }: EmbeddedDatabase): Notifications {
  const listening: Promise<() => Promise<void>>[] = [];
  return {
    listen(channel, listener) {
      listening.push(pglite.listen(channel, (payload) => listener.notified(payload)));
    },
    async close() {
      for (const unlisten of await Promise.all(listening)) await unlisten();
    },
  };
}

/** One line of its own, kept up until `close`. */
export function openNotifications(options: {
  databaseUrl: string;
  clock: Clock;
  /** The line was lost; it is opened again. */
  onError?: (error: Error) => void;
}): Notifications {
  const { databaseUrl, clock, onError = () => {} } = options;
  const listeners = new Map<string, Listener[]>();
  const closing = new AbortController();
  /** Sends one statement after the other: the client takes no second one while the first is under way. */
  let ask: ((statement: string) => Promise<unknown>) | undefined;
  let failures = 0;

  const attend = async () => {
    const own = new pg.Client({
      connectionString: databaseUrl,
      application_name: applicationName,
      connectionTimeoutMillis: answerWithinMs,
      query_timeout: answerWithinMs,
      keepAlive: true,
    });
    const line = new AbortController();
    const hangUp = () => line.abort(closing.signal.reason);
    closing.signal.addEventListener('abort', hangUp, { once: true });
    own.on('error', (error) => line.abort(error));
    own.on('end', () => line.abort(new Error('The database closed the line for notifications.')));
    own.on('notification', ({ channel, payload = '' }) => {
      for (const listener of listeners.get(channel) ?? []) listener.notified(payload);
    });
    try {
      await own.connect();
      let before: Promise<unknown> = Promise.resolve();
      const inTurn = (statement: string) =>
        (before = before.catch(() => {}).then(() => own.query(statement)));
      for (const channel of listeners.keys()) await inTurn(`listen ${pg.escapeIdentifier(channel)}`);
      ask = inTurn;
      failures = 0;
      for (const listener of [...listeners.values()].flat()) listener.connected?.();
      // A line whose other end has gone silently says nothing: only a question tells.
      for (;;) {
        await clock.sleep(heartbeatMs, line.signal);
        await inTurn('select 1');
      }
    } finally {
      ask = undefined;
      closing.signal.removeEventListener('abort', hangUp);
      own.removeAllListeners('end');
      await own.end().catch(() => {});
    }
  };
  const running = (async () => {
    while (!closing.signal.aborted) {
      await attend().catch((error: Error) => {
        if (!closing.signal.aborted) onError(error);
      });
      const waitMs =
        Math.min(longestWaitMs, 100 * 2 ** Math.min(failures++, 10)) * (0.5 + clock.random() / 2);
      await clock.sleep(waitMs, closing.signal).catch(() => {});
    }
  })();

  return {
    listen(channel, listener) {
      const own = listeners.get(channel);
      if (own) own.push(listener);
      else {
        listeners.set(channel, [listener]);
        // Where the line fails meanwhile, it listens to all of them when it is up again.
        void ask?.(`listen ${pg.escapeIdentifier(channel)}`).catch(() => {});
      }
    },
    async close() {
      closing.abort(new Error('closing'));
      await running;
    },
  };
}
