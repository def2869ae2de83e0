import type { Server, ServerResponse } from 'node:http';
import type { GraphQLSchema } from 'graphql';
import type { Context, Core } from '../../resolvers/context.ts';
import type { createFormatError } from '../../resolvers/formatError.ts';
import type { Execute } from '../execution/executor.ts';
import { statusOf, type Guard } from '../guard/guard.ts';
import type { Identity, ResolveIdentity } from '../identity.ts';
import type { Log } from '../log.ts';
import type { RouterProof } from '../routerProof.ts';
import { createCallbacks, type Callbacks } from './callback.ts';
import { createEventStreams } from './eventStream.ts';
import { createOperations, refusal, type Answer } from './operations.ts';
import { createSeats } from './seats.ts';
import { createWebSockets } from './webSocket.ts';

/** WebSockets and proxies are told so often that somebody is there, and asked whether they are. */
const beatEveryMs = 12_000;

export interface SubscriptionSettings {
  /** Where Apollo Router may have subscriptions posted; undefined outside production: to this machine. */
  callbackOrigins: readonly string[] | undefined;
  /** Sockets, streams and callback subscriptions together. */
  perAccount: number;
  total: number;
}

/** GraphQL over WebSocket, server-sent events and Apollo Router's callbacks. */
export interface Subscriptions {
  /** Takes over what asks the server for another protocol: `shouldUpgrade` says what may. */
  attach(server: Server): void;
  callback: Callbacks['answer'];
  /** Answers on `response`, unless it returns what is wrong and the status to say it with. */
  stream(response: ServerResponse, asked: StreamRequest): Refused | undefined;
  /** Says goodbye to all who follow; resolves once they are gone. */
  close(): Promise<void>;
}

export interface StreamRequest {
  request: unknown;
  identity: Identity;
  lastEventId: string | undefined;
  /** A GET, which anything may repeat. */
  mayOnlyRead: boolean;
}

interface Refused {
  status: number;
  errors: NonNullable<Answer['errors']>;
}

/** Some clients offer HTTP/2 with each request (`Upgrade: h2c`): they are to be answered as if they had not. */
export function shouldUpgrade({ headers }: { headers: { upgrade?: string | undefined } }): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

export function createSubscriptions(deps: {
  schema: GraphQLSchema;
  core: Core;
  guard: Guard;
  execute: Execute<Context>;
  resolveIdentity: ResolveIdentity;
  routerProof: RouterProof;
  production: boolean;
  formatError: ReturnType<typeof createFormatError>;
  settings: SubscriptionSettings;
  log: Log;
}): Subscriptions {
  const { settings, core, log, production, resolveIdentity, routerProof } = deps;
  const { clock } = core;
  const operations = createOperations(deps);
  const seats = createSeats(settings);
  const sockets = createWebSockets({
    ...{ operations, resolveIdentity, routerProof, seats, clock, log },
    pingEveryMs: beatEveryMs,
  });
  const streams = createEventStreams({ operations, beatEveryMs, clock });
  const callbacks = createCallbacks({
    ...{ operations, seats, production, clock, log },
    origins: settings.callbackOrigins,
  });
  let closing = false;

  return {
    attach: (server) => void server.on('upgrade', sockets.upgrade),
    callback: callbacks.answer,
    stream(response, { request, identity, lastEventId, mayOnlyRead }) {
      const refused = (status: number, code: string, message: string): Refused => ({
        status,
        errors: operations.format([refusal(code, message)]),
      });
      const prepared = operations.prepare(request, identity.accountId);
      if (!('document' in prepared))
        return { status: statusOf(prepared[0]!), errors: operations.format(prepared) };
      if (mayOnlyRead && prepared.operation.operation === 'mutation')
        return refused(405, 'BAD_REQUEST', 'A mutation must be sent with POST.');
      const seat = closing ? undefined : seats.take();
      if (!seat?.assign(identity.accountId)) {
        seat?.leave();
        return refused(503, 'TOO_MANY_SUBSCRIBERS', 'There are as many subscribers as there may be.');
      }
      const resumeAfter = lastEventId === '' ? undefined : lastEventId;
      streams.open(response, prepared, { identity, seat, resumeAfter }).catch((error: unknown) => {
        log.error({ err: error }, 'a stream failed');
        response.destroy();
      });
      return undefined;
    },
    async close() {
      closing = true;
      await Promise.all([sockets.close(), streams.close(), callbacks.close()]);
    },
  };
}
