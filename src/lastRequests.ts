import type { Server as HttpServer } from 'node:http';
import { Server } from 'node:net';
import type { Clock } from './clock.ts';

const lookEveryMs = 50;
/** A request that has begun to come has so long to come to its end. */
const receivedWithinMs = 3_000;
/** Where they never cease to come. */
const emptyWithinMs = 2_000;

/**
 * Ends a server under its clients' hands without cutting any of them off. It stops listening at once. A line that is kept
 * open may carry one more request, whose answer has to say `Connection: close`; one on which nothing comes is closed
 * after a while. Node's own `close` ends such lines at once, and with them the requests that are just on their way.
 * Resolves when the last line is gone.
 *
 * @param silentMs a client that is at work says something on its line within this time, and is told by the answer
 */
export async function takeLastRequests(server: HttpServer, silentMs: number, clock: Clock): Promise<void> {
  server.requestTimeout = Math.min(server.requestTimeout, receivedWithinMs);
  // Node swaps the two where this one is the longer.
  server.headersTimeout = Math.min(server.headersTimeout, receivedWithinMs);
  let gone = false;
  const closed = new Promise<void>((resolve) => {
    Server.prototype.close.call(server, () => {
      gone = true;
      resolve();
    });
  });
  const closeIdle = () => {
    if (gone) return;
    // Not before what has arrived meanwhile is read: a line with a request on it is not idle.
    setImmediate(() => server.closeIdleConnections());
    clock.timer(lookEveryMs, closeIdle);
  };
  const cancel = clock.timer(silentMs, closeIdle);
  await closed;
  cancel();
}

/**
 * Resolves after a turn of the event loop in which nobody came: what still waits to be accepted when a listener closes is
 * reset by the operating system, request and all. Each turn accepts one connection, whatever the number of those waiting.
 */
export async function emptyQueue(server: HttpServer, clock: Clock): Promise<void> {
  let came = 0;
  const count = () => void came++;
  server.on('connection', count);
  const giveUpAt = clock.monotonic() + emptyWithinMs;
  do {
    came = 0;
    // Timers come first in a turn, then all input, then what was set to be immediate.
    await new Promise<void>((resolve) => {
      clock.timer(0, () => setImmediate(resolve));
    });
  } while (came > 0 && clock.monotonic() < giveUpAt);
  server.off('connection', count);
}
