import { createHmac } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { eventBody } from './eventBody.ts';
import { eventTypes, type EventType, type Happening } from './happenings.ts';
import type { Portal } from './portal.ts';
import type { MyCarrierPacketsSettings } from './settings.ts';

/** As a customer makes it on the portal's page; each has a secret of its own. */
export interface Subscription {
  id: number;
  customerId: number;
  url: string;
  secret: string;
  events: readonly EventType[];
}

/** Misbehaviour on request, for the next `count` deliveries that match. The first rule that matches applies. */
export const deliveryRule = z.strictObject({
  count: z.int().min(1).default(1),
  eventType: z.enum(eventTypes).optional(),
  /** Never sent: only polling finds it. */
  lost: z.boolean().default(false),
  /** Sent so many times more, after it was acknowledged, with the same bytes. */
  duplicates: z.int().min(0).max(100).default(0),
  /** Waits first, on the sandbox's clock. */
  delayMs: z.int().min(0).default(0),
  /** Sent only after so many later deliveries to the same subscription had their first attempt, or after a minute. */
  after: z.int().min(0).default(0),
  /** Of all attempts of the first cycle; a resent delivery is signed well. */
  signature: z.enum(['right', 'wrong-secret', 'truncated', 'missing']).default('right'),
});

export type DeliveryRule = z.infer<typeof deliveryRule>;

export interface Delivery {
  id: number;
  subscriptionId: number;
  eventType: EventType;
  body: string;
  state: 'waiting' | 'delivered' | 'failed' | 'lost';
  /** Null: no answer. */
  attempts: { at: string; status: number | null }[];
}

export interface Deliveries {
  list(): readonly Delivery[];
  /** Starts a new cycle of attempts. False when there is no such delivery. */
  resend(id: number): boolean;
  addRule(rule: DeliveryRule): void;
  rules(): readonly DeliveryRule[];
  clearRules(): void;
}

export interface DeliveriesOptions {
  clock: Clock;
  portal: Portal;
  settings: () => MyCarrierPacketsSettings;
  /** Ends waits and requests when the sandbox closes. What was not delivered by then never is. */
  signal: AbortSignal;
  log: (line: object) => void;
}

/** Minutes before each attempt, since the last one. */
const waitsMinutes = [0, 0, 5, 10, 15];
const longestHoldMs = 60_000;
const longest = 2000;

/** Tells subscribers of what the portal tells, from now on. */
export function openDeliveries(options: DeliveriesOptions): Deliveries {
  const { clock, portal, settings, signal } = options;
  let rules: DeliveryRule[] = [];
  let deliveries: Delivery[] = [];
  let holds: { held: Delivery; left: number; release: () => void }[] = [];

  const begin = (happening: Happening) => {
    const body = eventBody(portal, happening, settings().zoneOffsetMinutes, portal.nextId());
    const interested = portal.subscriptions
      .list()
      .filter(
        ({ customerId, events }) => customerId === happening.customerId && events.includes(happening.type),
      );
    for (const { id: subscriptionId } of interested) {
      const rule = takeRule(happening.type);
      const delivery: Delivery = {
        id: portal.nextId(),
        subscriptionId,
        eventType: happening.type,
        body,
        state: rule.lost ? 'lost' : 'waiting',
        attempts: [],
      };
      deliveries.push(delivery);
      if (deliveries.length > longest) deliveries = deliveries.slice(-longest / 2);
      if (!rule.lost) inBackground(deliver(delivery, rule));
    }
  };

  const deliver = async (delivery: Delivery, rule: DeliveryRule): Promise<void> => {
    if (rule.delayMs > 0) await clock.sleep(rule.delayMs, signal);
    if (rule.after > 0) await heldBack(delivery, rule.after);
    await cycle(delivery, rule.signature);
    for (let copy = 0; copy < rule.duplicates; copy += 1) await attempt(delivery, rule.signature);
  };
  const cycle = async (delivery: Delivery, signature: DeliveryRule['signature']): Promise<void> => {
    delivery.state = 'waiting';
    for (const [index, minutes] of waitsMinutes.entries()) {
      await clock.sleep(minutes * 60_000 * settings().retryScale, signal);
      const status = await attempt(delivery, signature);
      if (index === 0) letGo(delivery);
      if (status !== null && status >= 200 && status < 300) {
        delivery.state = 'delivered';
        return;
      }
    }
    delivery.state = 'failed';
  };
  const attempt = async (
    delivery: Delivery,
    signature: DeliveryRule['signature'],
  ): Promise<number | null> => {
    const subscription = portal.subscriptions.get(String(delivery.subscriptionId));
    if (!subscription) return null;
    const at = new Date(clock.now()).toISOString();
    const status = await send(subscription, delivery, signature);
    delivery.attempts.push({ at, status });
    return status;
  };
  const send = async (
    subscription: Subscription,
    { eventType, body }: Delivery,
    signature: DeliveryRule['signature'],
  ): Promise<number | null> => {
    const late = new AbortController();
    const cancel = clock.timer(settings().deliveryTimeoutMs, () => late.abort());
    try {
      const signed = signatureOf(body, subscription.secret, settings(), signature);
      const answer = await fetch(subscription.url, {
        method: 'POST',
        redirect: 'manual',
        headers: {
          'content-type': 'application/json; charset=utf-8',
          'mcp-event': eventType,
          ...(signed !== undefined && { 'mcp-signature': signed }),
        },
        body,
        signal: AbortSignal.any([signal, late.signal]),
      });
      await answer.body?.cancel();
      return answer.status;
    } catch {
      return null;
    } finally {
      cancel();
    }
  };

  const heldBack = async (held: Delivery, count: number): Promise<void> => {
    const released = new AbortController();
    holds.push({ held, left: count, release: () => released.abort() });
    await clock
      .sleep(longestHoldMs, AbortSignal.any([signal, released.signal]))
      .catch(() => signal.throwIfAborted());
  };
  const letGo = ({ id, subscriptionId }: Delivery) => {
    const earlier = holds.filter(({ held }) => held.subscriptionId === subscriptionId && held.id < id);
    for (const hold of earlier) hold.left -= 1;
    for (const { release } of holds.filter(({ left }) => left <= 0)) release();
    holds = holds.filter(({ left }) => left > 0);
  };
  const takeRule = (type: EventType): DeliveryRule => {
    const rule = rules.find(({ eventType }) => (eventType ?? type) === type);
    if (!rule) return deliveryRule.parse({});
    rule.count -= 1;
    rules = rules.filter(({ count }) => count > 0);
    return rule;
  };
  const inBackground = (work: Promise<void>) =>
    void work.catch((error: unknown) => {
      if (!signal.aborted) options.log({ event: 'sandbox.bug', message: String(error) });
    });

  portal.listen(begin);
  return {
    list: () => deliveries,
    resend(id) {
      const found = deliveries.find((one) => one.id === id);
      if (found) inBackground(cycle(found, 'right'));
      return found !== undefined;
    },
    addRule: (rule) => void rules.push({ ...rule }),
    rules: () => rules,
    clearRules: () => {
      rules = [];
    },
  };
}

/** `MCP-Signature`: HMAC-SHA256 of the body's bytes. Undefined where there is to be none. */
export function signatureOf(
  body: string,
  secret: string,
  encodings: Pick<MyCarrierPacketsSettings, 'signatureEncoding' | 'secretEncoding' | 'signaturePrefix'>,
  quality: DeliveryRule['signature'] = 'right',
): string | undefined {
  if (quality === 'missing') return undefined;
  const key = Buffer.from(
    quality === 'wrong-secret' ? `not ${secret}` : secret,
    encodings.secretEncoding === 'base64' ? 'base64' : 'utf8',
  );
  const signature = createHmac('sha256', key).update(body).digest(encodings.signatureEncoding);
  return encodings.signaturePrefix + (quality === 'truncated' ? signature.slice(0, 32) : signature);
}
