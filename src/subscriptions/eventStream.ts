import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { whenOver, type Identity, type Over } from '../identity.ts';
import { over, tooSlow } from './lastWords.ts';
import type { Answer, Answers, Operations, Prepared } from './operations.ts';
import type { Seat } from './seats.ts';
import { createTicker } from './ticker.ts';

const closeWithinMs = 5_000;

/** The distinct connections mode of https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md */
export interface EventStreams {
  /**
   * Answers with a stream: a query's or mutation's answer, or a subscription's as they come. Resolves at its end.
   * @param seat left at its end
   * @param resumeAfter the header `Last-Event-ID`
   */
  open(response: ServerResponse, operation: Prepared, opened: Opened): Promise<void>;
  /** Completes all of them, those with a query or a mutation once it is answered. */
  close(): Promise<void>;
}

interface Opened {
  identity: Identity;
  seat: Seat;
  resumeAfter: string | undefined;
}

interface Stream {
  response: ServerResponse;
  /** A query or a mutation, whose answer is its end. */
  answersOnce: boolean;
  /** How many beats nothing could be written. */
  stuckFor: number;
  finish(last?: Answer): void;
}

export function createEventStreams(deps: {
  operations: Operations;
  beatEveryMs: number;
  clock: Clock;
}): EventStreams {
  const { operations, clock } = deps;
  const streams = new Set<Stream>();
  const ticker = createTicker(clock, deps.beatEveryMs, () => {
    for (const stream of streams) {
      const { response } = stream;
      if (!response.writableNeedDrain) {
        stream.stuckFor = 0;
        response.write(':\n\n');
      } else if (++stream.stuckFor > 1) response.destroy();
    }
  });

  return {
    async open(response, operation, { identity, seat, resumeAfter }) {
      if (response.destroyed) return seat.leave();
      const gone = new Promise<void>((resolve) => response.once('close', resolve));
      response.on('error', () => {});
      response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        // Proxies that collect an answer before they pass it on: nginx and those that copy it.
        'x-accel-buffering': 'no',
      });
      response.flushHeaders();
      let answers: Answers | undefined;
      let finished = false;
      const stream: Stream = {
        ...{ response, stuckFor: 0, answersOnce: operation.operation.operation !== 'subscription' },
        finish(last) {
          if (finished) return;
          finished = true;
          answers?.stop();
          response.end(`${last ? nextOf(JSON.stringify(last)) : ''}event: complete\ndata:\n\n`);
          // A reader that takes nothing does not take the end either.
          const cancel = clock.timer(closeWithinMs, () => response.destroy());
          void gone.then(cancel);
        },
      };
      streams.add(stream);
      const onOver = (why: Over) => stream.finish(over[why]);
      const cancelOver = whenOver(identity, clock, onOver);
      void gone.then(() => {
        streams.delete(stream);
        seat.leave();
        cancelOver();
        finished = true;
        answers?.stop();
      });

      if (stream.answersOnce) {
        stream.finish(await operations.execute(operation, identity));
        return gone;
      }
      const onTooSlow = (cursor: string) => stream.finish(tooSlow(cursor));
      const started = await operations.subscribe(operation, { identity, resumeAfter, onTooSlow, onOver });
      if ('errors' in started) {
        stream.finish(started);
        return gone;
      }
      answers = started;
      // It may have been finished while it was started.
      if (finished) started.stop();
      await started.deliver((answer, cursor) => {
        const isTaken = response.write(nextOf(answer, cursor));
        started.handedOver();
        return isTaken ? undefined : drained(response);
      });
      stream.finish();
      return gone;
    },
    async close() {
      ticker.stop();
      await Promise.all(
        [...streams].map(async ({ response, answersOnce, finish }) => {
          const gone = new Promise<void>((resolve) => response.once('close', resolve));
          if (!answersOnce) finish();
          const cancel = clock.timer(answersOnce ? answerWithinMs : goneWithinMs, () => response.destroy());
          await gone;
          cancel();
        }),
      );
    },
  };
}

/** When the process goes away, what was asked over a stream has so long to be answered: as over HTTP. */
const answerWithinMs = 5_000;
/** When the process goes away, a reader that does not take its end holds the drain up no longer than this. */
const goneWithinMs = 2_000;

function nextOf(answer: string, cursor?: string): string {
  return `event: next\n${cursor === undefined ? '' : `id: ${cursor}\n`}data: ${answer}\n\n`;
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}
