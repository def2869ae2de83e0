import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Cancel, Clock } from './clock.ts';
import type { Log } from './log.ts';

export interface AnswerLimits {
  /** From when an answer is there until the operating system has taken all of it. */
  takeWithinMs: number;
  /** Of all answers together that it has not taken. */
  mostHeldBytes: number;
}

/** A reader at work takes an answer of half a megabyte in milliseconds; what a socket buffers is not held. */
export const usualAnswerLimits: AnswerLimits = { takeWithinMs: 10_000, mostHeldBytes: 64 * 1024 * 1024 };

/** Requests behind the one under way, on one line: clients that send several before they are answered are rare. */
const mostWaiting = 100;

interface Held {
  line: Socket;
  bytes: number;
  sinceMs: number;
}

/**
 * Bounds what is held of answers that nobody reads. An answer is one text, written at once: the smallest form that it
 * has, and what is not read of it waits in memory. `node:http` would wait for its reader for ever, and work meanwhile on all
 * that a client has asked for behind it. Here a line has one request at a time; whoever takes too long is hung up on; and so
 * is, when all of them hold too much together, whoever holds most, the longest of equals. Event streams and WebSockets
 * have bounds of their own.
 */
export function boundAnswers(
  app: FastifyInstance,
  { clock, log, limits }: { clock: Clock; log: Log; limits: AnswerLimits },
): void {
  /** The oldest first. */
  const held = new Set<Held>();
  let heldBytes = 0;
  let cancel: Cancel | undefined;

  const release = (one: Held) => {
    if (held.delete(one)) heldBytes -= one.bytes;
  };
  const hangUp = ({ line, bytes, sinceMs }: Held) => {
    log.warn({ bytes, heldMs: Math.round(clock.monotonic() - sinceMs) }, 'an answer was not read');
    for (const one of held) if (one.line === line) release(one);
    // Without a reset the operating system would go on offering what it has taken.
    line.resetAndDestroy();
  };
  const look = () => {
    const longAgo = clock.monotonic() - limits.takeWithinMs;
    for (const one of held) {
      if (one.sinceMs > longAgo) break;
      hangUp(one);
    }
    cancel = held.size > 0 ? clock.timer(limits.takeWithinMs / 10, look) : undefined;
  };

  const last = new WeakMap<Socket, ServerResponse>();
  const waiting = new WeakMap<Socket, number>();
  app.addHook('onRequest', ({ raw: { socket: line } }, { raw: response }, done) => {
    const before = last.get(line);
    last.set(line, response);
    if (!before || before.writableFinished) return done();
    const count = (waiting.get(line) ?? 0) + 1;
    // Node stops reading a line for answers that wait on it, but not for requests.
    if (count > mostWaiting) return void line.resetAndDestroy();
    waiting.set(line, count);
    // Where the line ends before, nobody is there any more to work for.
    before.once('finish', () => {
      waiting.set(line, waiting.get(line)! - 1);
      done();
    });
  });
  app.addHook('onSend', ({ raw: { socket: line } }, { raw: response }, payload, done) => {
    const isText = typeof payload === 'string' || Buffer.isBuffer(payload);
    if (isText && !line.destroyed) {
      const one = { line, bytes: Buffer.byteLength(payload), sinceMs: clock.monotonic() };
      held.add(one);
      heldBytes += one.bytes;
      // All of it is with the operating system; or the line is gone.
      response.once('finish', () => release(one));
      response.once('close', () => release(one));
      // Few, for only what a socket's buffers do not take is held for longer than this turn.
      while (heldBytes > limits.mostHeldBytes)
        hangUp([...held].reduce((most, next) => (next.bytes > most.bytes ? next : most)));
      cancel ??= clock.timer(limits.takeWithinMs / 10, look);
    }
    done();
  });
  app.addHook('onClose', (_app, done) => {
    cancel?.();
    done();
  });
}
