import { createHmac } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { deliveryMisbehaviour, openHolds, openRules, post } from '../webhookSender.ts';
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

/** Later deliveries overtake within a subscription. A resent delivery is signed well, and copies follow its first cycle. */
export const deliveryRule = deliveryMisbehaviour.extend({ eventType: z.enum(eventTypes).optional() });

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
const longest = 2000;

/** Tells subscribers of what the portal tells, from now on. */
export function openDeliveries(options: DeliveriesOptions): Deliveries {
  const { clock, portal, settings, signal } = options;
  const rules = openRules<DeliveryRule>();
  const holds = openHolds(clock, signal);
  let deliveries: Delivery[] = [];

  const begin = (happening: Happening) => {
    const body = eventBody(portal, happening, settings().zoneOffsetMinutes, portal.nextId());
    const interested = portal.subscriptions
      .list()
      .filter(
        ({ customerId, events }) => customerId === happening.customerId && events.includes(happening.type),
      );
    for (const { id: subscriptionId } of interested) {
      const rule =
        rules.take(({ eventType }) => (eventType ?? happening.type) === happening.type) ??
        deliveryRule.parse({});
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
    if (rule.after > 0) await holds.wait(delivery.id, rule.after, delivery.subscriptionId);
    await cycle(delivery, rule.signature);
    for (let copy = 0; copy < rule.duplicates; copy += 1) await attempt(delivery, rule.signature);
  };
  const cycle = async (delivery: Delivery, signature: DeliveryRule['signature']): Promise<void> => {
    delivery.state = 'waiting';
    for (const [index, minutes] of waitsMinutes.entries()) {
      await clock.sleep(minutes * 60_000 * settings().retryScale, signal);
      const status = await attempt(delivery, signature);
      if (index === 0) holds.passed(delivery.id, delivery.subscriptionId);
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
    const signed = signatureOf(delivery.body, subscription.secret, settings(), signature);
    const headers = {
      'content-type': 'application/json; charset=utf-8',
      'mcp-event': delivery.eventType,
      ...(signed !== undefined && { 'mcp-signature': signed }),
    };
    const timeoutMs = settings().deliveryTimeoutMs;
    const { at, status } = await post(subscription.url, headers, delivery.body, { clock, signal, timeoutMs });
    delivery.attempts.push({ at, status });
    return status;
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
    addRule: rules.add,
    rules: rules.list,
    clearRules: rules.clear,
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
