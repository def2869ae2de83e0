import { GraphQLError } from 'graphql';
import { Agent } from 'undici';
import { createConnector, type Reach } from '../calls/addresses.ts';
import type { Clock } from '../clock.ts';
import type { Identity } from '../identity.ts';
import type { Log } from '../log.ts';
import { post } from './callbackPost.ts';
import { asksForCallback, protocolHeader, readCallback, type CallbackMessage } from './callbackProtocol.ts';
import { createCallbackSubscription, type CallbackSubscription } from './callbackSubscription.ts';
import { refusal, type Answer, type Operations } from './operations.ts';
import type { Seats } from './seats.ts';

const connectTimeoutMs = 2_000;
/** A thousand subscribers of one router must not become a thousand lines to it. */
const mostLinesPerOrigin = 64;

export interface CallbackAnswer {
  status: number;
  headers: Record<string, string>;
  body: { data?: null; errors?: Answer['errors'] };
  /** Once the answer is on its way. */
  start?(): void;
}

export interface Callbacks {
  /**
   * Answers a subscription that asks for callbacks; undefined for every other request. Nothing is posted before the
   * operation is valid, the viewer is known and the address is allowed; nothing is read before the router has confirmed
   * with its answer to a first `check` that it wants this subscription.
   */
  answer(
    accept: string | undefined,
    request: unknown,
    identity: Identity | undefined,
  ): Promise<CallbackAnswer | undefined>;
  /** Completes all of them. */
  close(): Promise<void>;
}

export function createCallbacks(deps: {
  operations: Operations;
  seats: Seats;
  /** Undefined: this machine's own, but in production none. */
  origins: readonly string[] | undefined;
  production: boolean;
  clock: Clock;
  log: Log;
}): Callbacks {
  const { operations, seats, origins, clock, log } = deps;
  // What the operator has named is not judged; without that, nothing but this machine is reached.
  const reach: Reach = origins ? 'anywhere' : 'loopback';
  const dispatcher = new Agent({
    connect: createConnector(reach, connectTimeoutMs),
    connections: mostLinesPerOrigin,
  });
  const isAllowed = (url: URL) => (origins ? origins.includes(url.origin) : isLocal(url));
  const running = new Set<CallbackSubscription>();
  let closing = false;

  const refuse = (status: number, ...errors: GraphQLError[]): CallbackAnswer => ({
    status,
    headers: {},
    body: { errors: operations.format(errors) },
  });

  return {
    async answer(accept, request, identity) {
      if (!asksForCallback(accept)) return undefined;
      const prepared = operations.prepare(request, undefined);
      if (!('document' in prepared)) return refuse(400, ...prepared);
      if (prepared.operation.operation !== 'subscription') return undefined;
      if (!identity) return refuse(401, noIdentity());
      if (!origins && deps.production) return refuse(400, notSet());
      const callback = readCallback((request as { extensions?: unknown }).extensions, isAllowed);
      if (callback instanceof GraphQLError) return refuse(400, callback);
      const seat = closing ? undefined : seats.take();
      if (!seat?.assign(identity.accountId)) {
        seat?.leave();
        return refuse(503, tooMany());
      }
      const send = (message: CallbackMessage, signal: AbortSignal) =>
        post(callback, message, { dispatcher, clock, signal });
      const { origin } = callback.url;
      const confirmed = await send({ action: 'check' }, AbortSignal.timeout(confirmWithinMs));
      // Nobody would complete it any more.
      if (closing) {
        seat.leave();
        return refuse(503, tooMany());
      }
      if (confirmed !== 'taken') {
        seat.leave();
        log.warn({ origin, outcome: confirmed }, 'a callback URL did not confirm the subscription');
        return refuse(502, notConfirmed());
      }
      const subscription = createCallbackSubscription({
        ...{ post: send, identity, heartbeatMs: callback.heartbeatMs, clock },
        onRefused: (outcome) => log.info({ origin, outcome }, 'a router ended its callbacks'),
      });
      running.add(subscription);
      void subscription.done.then(() => {
        running.delete(subscription);
        seat.leave();
      });
      const start = async () => {
        const started = await operations.subscribe(prepared, subscription.subscriber);
        if (closing) subscription.complete();
        if ('errors' in started) return subscription.complete(started.errors);
        await subscription
          .run(started)
          .catch((error: unknown) => subscription.complete(operations.format([error])));
      };
      return { status: 200, headers: protocolHeader, body: { data: null }, start: () => void start() };
    },
    async close() {
      closing = true;
      const all = [...running];
      for (const subscription of all) subscription.complete();
      await Promise.all(all.map(({ done }) => done));
      await dispatcher.destroy();
    },
  };
}

/** The router waits for our answer meanwhile. */
const confirmWithinMs = 8_000;

/** Names are looked up when it is connected to; what is an address, or a name that needs no look-up, is judged here. */
function isLocal({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

const noIdentity = () =>
  refusal('UNAUTHENTICATED', 'This needs an identity: send Authorization: Bearer <token>.');
const notSet = () =>
  refusal('SUBSCRIPTIONS_NOT_SUPPORTED', 'Callbacks are off: SUBSCRIPTION_CALLBACK_ORIGINS is not set.');
const tooMany = () => refusal('TOO_MANY_SUBSCRIBERS', 'There are as many subscribers as there may be.');
const notConfirmed = () =>
  refusal('CALLBACK_FAILED', 'The callback URL did not confirm the subscription with 204.');
