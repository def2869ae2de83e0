import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { GraphQLError, type ExecutionArgs, type ExecutionResult } from 'graphql';
import { handleProtocols, makeServer } from 'graphql-ws';
import { WebSocketServer, type WebSocket } from 'ws';
import type { Cancel, Clock } from '../clock.ts';
import {
  UnauthenticatedError,
  whenOver,
  type Identity,
  type Over,
  type ResolveIdentity,
} from '../identity.ts';
import type { Log } from '../log.ts';
import type { RouterProof } from '../routerProof.ts';
import { isForeignPage, presentedCredentials, presentedHeaders } from './credentials.ts';
import { refusal, type Answers, type Operations, type Prepared, type Take } from './operations.ts';
import type { Seat, Seats } from './seats.ts';
import { createTicker } from './ticker.ts';

const mostOperations = 100;
const mostMessageBytes = 128 * 1024;
const initWithinMs = 3_000;
/** Half of a close handshake is waited for so long, and hardly where nobody has said who it is. */
const closeWithinMs = 5_000;
const closeStrangersWithinMs = 500;
/** Unsent bytes above which nothing more is read from a socket. */
const mostUnsentBytes = 1024 * 1024;

/** https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md, and what we add to it. */
export const closeCodes = {
  goingAway: [1001, 'Going away'],
  internal: [4500, 'Internal server error'],
  unauthorized: [4401, 'Unauthorized'],
  expired: [4401, 'Token expired'],
  withdrawn: [4403, 'Key withdrawn'],
  forbidden: [4403, 'Forbidden'],
  tooMany: [4429, 'Too many subscribers'],
} as const;

type Close = readonly [code: number, reason: string];

export interface WebSocketsOptions {
  operations: Operations;
  resolveIdentity: ResolveIdentity;
  routerProof: RouterProof;
  seats: Seats;
  pingEveryMs: number;
  clock: Clock;
  log: Log;
}

export interface WebSockets {
  /** A request to open one, as Node's HTTP server emits it. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Says goodbye to all, once the queries and mutations under way are answered; resolves once they are gone. */
  close(): Promise<void>;
}

interface Line {
  socket: WebSocket;
  /** Set until it is known who it is. */
  stranger: { headers: Record<string, unknown>; remoteAddress: string | undefined } | undefined;
  identity: Identity | undefined;
  /** Proved when it was opened; otherwise each operation has to, where a proof is required. */
  isRouter: boolean;
  seat: Seat;
  subscriptions: Record<string, unknown>;
  hasPonged: boolean;
  cancelOver: Cancel | undefined;
  /** Resolves once it has left this process; undefined where it has at once. Nothing where the socket is closing. */
  send(message: string): Promise<void> | undefined;
  end(close: Close): void;
}

/** One GraphQL operation on its way through graphql-ws. */
interface Args extends ExecutionArgs {
  id: string;
  prepared: Prepared;
  line: Line;
}

export function createWebSockets(options: WebSocketsOptions): WebSockets {
  const { operations, routerProof, seats, clock, log } = options;
  const lines = new Set<Line>();
  let closing = false;

  const ticker = createTicker(clock, options.pingEveryMs, () => {
    for (const line of lines) {
      if (!line.hasPonged) {
        line.socket.terminate();
        continue;
      }
      line.hasPonged = false;
      if (line.socket.readyState === line.socket.OPEN) line.socket.ping();
    }
  });

  /** Who it is, or how the socket is to be closed. */
  const identify = async (line: Line, params: unknown): Promise<Identity | Close> => {
    const { headers, remoteAddress } = line.stranger!;
    const presented = presentedCredentials(headers, params, remoteAddress);
    if (!presented) return closeCodes.forbidden;
    line.isRouter = routerProof.holds({ secret: presented.routerSecret, request: undefined });
    if (routerProof.isRequired && !line.isRouter && !routerProof.isInRequests) return closeCodes.forbidden;
    if (presented.authorization === undefined && isForeignPage(headers.origin)) return closeCodes.forbidden;
    try {
      return (await options.resolveIdentity(presented)) ?? closeCodes.unauthorized;
    } catch (error) {
      if (error instanceof UnauthenticatedError) return closeCodes.forbidden;
      log.error({ err: error }, 'an identity could not be verified');
      return closeCodes.internal;
    }
  };

  /** An operation whose own proof is missing, or whose `extensions.jwt` is not the identity that the socket has. */
  const contradiction = async (
    line: Line,
    request: { extensions?: Record<string, unknown> | null | undefined },
  ): Promise<GraphQLError | undefined> => {
    const isRouter = line.isRouter || routerProof.holds({ secret: undefined, request });
    if (routerProof.isRequired && !isRouter) return notTheRouter();
    const forwarded = request.extensions?.jwt;
    if (forwarded === undefined) return undefined;
    const { accountId, userId } = line.identity!;
    const nothing = { authorization: undefined, accountHeader: undefined, userHeader: undefined };
    try {
      const own = await options.resolveIdentity({
        ...{ ...nothing, remoteAddress: undefined, forwarded, isRouter },
      });
      if (!own || (own.accountId === accountId && own.userId === userId)) return undefined;
      return refusal('UNAUTHENTICATED', 'extensions.jwt names another identity than the connection.');
    } catch (error) {
      if (error instanceof UnauthenticatedError) return refusal('UNAUTHENTICATED', error.message);
      throw error;
    }
  };

  const protocol = makeServer<Record<string, unknown>, { line: Line }>({
    connectionInitWaitTimeout: initWithinMs,
    async onConnect(context) {
      const { connectionParams, subscriptions } = context;
      const { line } = context.extra;
      // Kept for as long as the socket is open, otherwise: a token that nobody needs any more.
      Object.assign(context, { connectionParams: undefined });
      const found = await identify(line, connectionParams);
      const identity = 'accountId' in found ? found : undefined;
      if (line.socket.readyState !== line.socket.OPEN) return false;
      if (!identity || !line.seat.assign(identity.accountId)) {
        line.end('accountId' in found ? closeCodes.tooMany : found);
        return false;
      }
      Object.assign(line, { identity, stranger: undefined, subscriptions });
      line.cancelOver = whenOver(identity, clock, (why) => line.end(closeCodes[why]));
      return true;
    },
    async onSubscribe({ extra: { line }, subscriptions }, id, request) {
      if (Object.keys(subscriptions).length > mostOperations)
        return [refusal('TOO_MANY_OPERATIONS', `One socket carries ${mostOperations} operations at a time.`)];
      const wrong = await contradiction(line, request);
      if (wrong) return [wrong];
      const prepared = operations.prepare(request, line.identity!.accountId);
      if (!('document' in prepared)) return prepared;
      const { document, operationName } = prepared;
      // Kept for as long as the operation runs: not a copy of the text for each, nor what came with it.
      Object.assign(request, {
        query: document.loc!.source.body,
        variables: undefined,
        extensions: undefined,
      });
      return { document, operationName, id, prepared, line } as unknown as ExecutionArgs;
    },
    execute: (args) => {
      const { prepared, line } = args as unknown as Args;
      return operations.execute(prepared, line.identity!) as Promise<unknown> as Promise<ExecutionResult>;
    },
    subscribe: async (args) => {
      const { id, prepared, line } = args as unknown as Args;
      const subscriber = {
        identity: line.identity!,
        onTooSlow: (cursor: string) => line.end([4429, `Too slow: resume after ${cursor}`]),
        onOver: (why: Over) => line.end(closeCodes[why]),
      };
      const answers = await operations.subscribe(prepared, subscriber);
      if ('errors' in answers) return answers as unknown as ExecutionResult;
      const start = `{"id":${JSON.stringify(id)},"type":"next","payload":`;
      return whileDelivered(answers, (answer) => {
        const sent = line.send(`${start}${answer}}`);
        answers.handedOver();
        return sent;
      });
    },
    // A query's or mutation's, formatted already.
    onNext: (_socket, _id, _request, _args, result) => result as never,
    onError: (_socket, _id, _request, errors) =>
      operations.format(errors.filter((error) => error instanceof GraphQLError)),
  });

  const server = new WebSocketServer({
    ...{ noServer: true, clientTracking: false, perMessageDeflate: false, handleProtocols },
    ...{ maxPayload: mostMessageBytes, closeTimeout: closeWithinMs },
  });

  const open = (socket: WebSocket, stranger: Line['stranger'], seat: Seat) => {
    const line: Line = {
      ...{ socket, stranger, seat, identity: undefined, isRouter: false, subscriptions: {}, hasPonged: true },
      cancelOver: undefined,
      send(message) {
        if (socket.readyState !== socket.OPEN) return undefined;
        let sent: PromiseWithResolvers<void> | undefined;
        socket.send(message, () => {
          if (paused && socket.bufferedAmount <= mostUnsentBytes) {
            paused = false;
            socket.resume();
          }
          sent?.resolve();
        });
        if (socket.bufferedAmount === 0) return undefined;
        sent = Promise.withResolvers();
        return sent.promise;
      },
      end([code, reason]) {
        if (socket.readyState !== socket.OPEN) return;
        socket.close(code, reason);
        if (line.stranger) clock.timer(closeStrangersWithinMs, () => socket.terminate());
        for (const running of Object.values(line.subscriptions)) void (running as Running | null)?.return();
      },
    };
    lines.add(line);
    let paused = false;
    const pauseWhileFull = () => {
      if (paused || socket.bufferedAmount <= mostUnsentBytes) return;
      paused = true;
      socket.pause();
    };
    const closed = protocol.opened(
      {
        protocol: socket.protocol,
        send: (message) => line.send(message),
        close: (code, reason) => line.end([code ?? 1000, reason ?? '']),
        onMessage(take) {
          socket.on('message', (message: Buffer, isBinary) => {
            pauseWhileFull();
            take(isBinary ? '' : message.toString()).catch((error: unknown) => {
              log.error({ err: error }, 'a message could not be worked off');
              line.end(closeCodes.internal);
            });
          });
        },
      },
      { line },
    );
    socket.on('ping', pauseWhileFull);
    socket.on('pong', () => {
      line.hasPonged = true;
    });
    // ws closes it by itself, with the code that fits: too large, no UTF-8, a broken frame.
    socket.on('error', (error) => log.debug({ err: error }, 'a socket failed'));
    socket.once('close', (code, reason) => {
      lines.delete(line);
      seat.leave();
      line.cancelOver?.();
      void closed(code, reason.toString());
    });
  };

  return {
    upgrade(request, socket, head) {
      const refuse = (status: string) => {
        socket.on('error', () => {});
        // Who does not end its half would keep the other open: what was upgraded has no timeout of its own.
        socket.once('finish', () => socket.destroy());
        socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      };
      const [path] = (request.url ?? '').split('?');
      if (path !== '/graphql') return refuse('404 Not Found');
      const { remoteAddress } = request.socket;
      const seat = closing ? undefined : seats.take(remoteAddress ?? '');
      if (!seat) return refuse('503 Service Unavailable');
      const stranger = { headers: presentedHeaders(request.headers), remoteAddress };
      const leave = () => seat.leave();
      socket.once('close', leave);
      server.handleUpgrade(request, socket, head, (ready) => {
        socket.off('close', leave);
        open(ready, stranger, seat);
      });
    },
    async close() {
      closing = true;
      ticker.stop();
      const gone = [...lines].map(
        ({ socket }) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
      );
      const giveUpAt = clock.monotonic() + answerWithinMs;
      for (let busy = [...lines]; busy.length > 0;) {
        const late = clock.monotonic() >= giveUpAt;
        for (const line of busy) if (late || !isAnswering(line)) line.end(closeCodes.goingAway);
        busy = busy.filter(({ socket }) => socket.readyState === socket.OPEN);
        if (busy.length > 0) await clock.sleep(lookEveryMs);
      }
      const cancel = clock.timer(goneWithinMs, () => {
        for (const { socket } of lines) socket.terminate();
      });
      await Promise.all(gone);
      cancel();
    },
  };
}

type Running = ReturnType<typeof whileDelivered>;

/**
 * What graphql-ws waits for the end of, and ends, while the answers are sent past it: on its way each of them is made to
 * text anew and waits for half a dozen promises, which is most of what an event costs where thousands follow.
 */
function whileDelivered(answers: Answers, take: Take) {
  const over = { done: true, value: undefined } as const;
  const iterator = {
    next: () => answers.deliver(take).then(() => over),
    return() {
      answers.stop();
      return Promise.resolve(over);
    },
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
}

const notTheRouter = () => refusal('UNAUTHENTICATED', 'Only the router may ask here.');

/** Of a subscription that runs, graphql-ws keeps the sequence; of what is answered once, null. */
const isAnswering = ({ subscriptions }: Line) => Object.values(subscriptions).includes(null);

/** When the process goes away, what was asked over a socket has so long to be answered: as over HTTP. */
const answerWithinMs = 5_000;
const lookEveryMs = 20;
/** When the process goes away, a client that does not answer the goodbye holds the drain up no longer than this. */
const goneWithinMs = 2_000;
