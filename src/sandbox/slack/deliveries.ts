import { z } from 'zod';
import { deliveryMisbehaviour, openHolds, openRules } from '../webhookSender.ts';
import { app } from './app.ts';
import { send, wellSigned, type Failure, type SendOptions, type Sent, type Signing } from './sending.ts';
import type { SlackSettings } from './settings.ts';

export const deliveryRule = deliveryMisbehaviour.extend({
  /** Of the event within. Copies come without the headers of a retry. */
  eventType: z.string().optional(),
  /** The timestamp, rightly signed, is so far from the time of sending: -400 is stale, 400 is from the future. */
  timestampOffsetSeconds: z.int().default(0),
});

export type DeliveryRule = z.infer<typeof deliveryRule>;

export interface Delivery {
  id: number;
  teamId: string;
  /** Null for what is about no event. */
  eventId: string | null;
  eventType: string;
  body: string;
  state: 'waiting' | 'delivered' | 'failed' | 'lost';
  attempts: { at: string; status: number | null; failure: Failure | null }[];
}

export interface Deliveries {
  requestUrl(): string | null;
  /**
   * Takes the URL if it passes the `url_verification` handshake; returns why it did not. Null ends the subscription.
   * Until there is a URL nothing is sent, nor kept for later.
   */
  setRequestUrl(url: string | null): Promise<string | undefined>;
  add(delivery: Pick<Delivery, 'teamId' | 'eventId' | 'eventType' | 'body'>): void;
  list(): readonly Delivery[];
  clear(): void;
  addRule(rule: DeliveryRule): void;
  rules(): readonly DeliveryRule[];
  clearRules(): void;
}

export interface DeliveriesOptions extends Omit<SendOptions, 'timeoutMs'> {
  settings: () => SlackSettings;
  requestUrl: string | null;
  save: (requestUrl: string | null) => void;
  log: (line: object) => void;
}

/** Before each retry: at once, after a minute, after five. */
const retryWaitsMs = [0, 60_000, 300_000];
const longest = 2000;

/** Sends to the app's one request URL. What was not acknowledged when the sandbox closes never is. */
export function openDeliveries(options: DeliveriesOptions): Deliveries {
  const { clock, settings, signal } = options;
  let url = options.requestUrl;
  const rules = openRules<DeliveryRule>();
  const holds = openHolds(clock, signal);
  let deliveries: Delivery[] = [];
  let lastId = 0;

  const attempt = (
    target: string,
    body: string,
    signing: Signing,
    retryHeaders: Record<string, string> = {},
  ) => send(target, body, signing, retryHeaders, { ...options, timeoutMs: settings().deliveryTimeoutMs });

  const deliver = async (delivery: Delivery, rule: DeliveryRule): Promise<void> => {
    if (rule.delayMs > 0) await clock.sleep(rule.delayMs, signal);
    if (rule.after > 0) await holds.wait(delivery.id, rule.after);
    let last = await attemptOf(delivery, rule);
    holds.passed(delivery.id);
    for (const [index, waitMs] of retryWaitsMs.entries()) {
      if (last.failure === null || !last.mayRetry) break;
      await clock.sleep(waitMs * settings().retryScale, signal);
      last = await attemptOf(delivery, rule, {
        'x-slack-retry-num': String(index + 1),
        'x-slack-retry-reason': last.failure,
      });
    }
    delivery.state = last.failure === null ? 'delivered' : 'failed';
    for (let copy = 0; copy < rule.duplicates; copy += 1) await attemptOf(delivery, rule);
  };
  const attemptOf = async (
    delivery: Delivery,
    signing: Signing,
    retryHeaders?: Record<string, string>,
  ): Promise<Pick<Sent, 'failure' | 'mayRetry'>> => {
    if (url === null) return { failure: 'unknown_error', mayRetry: false };
    const at = new Date(clock.now()).toISOString();
    const sent = await attempt(url, delivery.body, signing, retryHeaders);
    signal.throwIfAborted();
    delivery.attempts.push({ at, status: sent.status, failure: sent.failure });
    return sent;
  };

  return {
    requestUrl: () => url,
    async setRequestUrl(next) {
      if (next !== null) {
        const challenge = clock.randomBytes(39).toString('base64url');
        const body = JSON.stringify({ token: app.verificationToken, challenge, type: 'url_verification' });
        const problem = handshakeProblem(await attempt(next, body, wellSigned), challenge);
        if (problem !== undefined) return problem;
      }
      url = next;
      options.save(next);
      return undefined;
    },
    add(facts) {
      if (url === null) return;
      const rule =
        rules.take(({ eventType }) => (eventType ?? facts.eventType) === facts.eventType) ??
        deliveryRule.parse({});
      lastId += 1;
      const delivery: Delivery = {
        id: lastId,
        ...facts,
        state: rule.lost ? 'lost' : 'waiting',
        attempts: [],
      };
      deliveries.push(delivery);
      if (deliveries.length > longest) deliveries = deliveries.slice(-longest / 2);
      if (rule.lost) return;
      void deliver(delivery, rule).catch((error: unknown) => {
        if (!signal.aborted) options.log({ event: 'sandbox.bug', message: String(error) });
      });
    },
    list: () => deliveries,
    clear: () => {
      deliveries = [];
    },
    addRule: rules.add,
    rules: rules.list,
    clearRules: rules.clear,
  };
}

/** The challenge comes back as text, as a form or as JSON. */
function handshakeProblem(
  { failure, status, body, contentType }: Sent,
  challenge: string,
): string | undefined {
  if (failure !== null) return status === null ? failure : `HTTP ${status}`;
  return challengeIn(body, contentType) === challenge ? undefined : "the answer is not the challenge's value";
}

function challengeIn(body: string, contentType: string): unknown {
  if (contentType.startsWith('application/x-www-form-urlencoded'))
    return new URLSearchParams(body).get('challenge');
  if (!contentType.startsWith('application/json')) return body.trim();
  try {
    return (JSON.parse(body) as { challenge?: unknown }).challenge;
  } catch {
    return undefined;
  }
}
