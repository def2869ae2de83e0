import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { deliveryMisbehaviour, openHolds, openRules, post } from '../webhookSender.ts';
import type { Change } from './company.ts';
import { cloudEventsBody, legacyBody, signatureHeaders, type WebhookEvent } from './notifications.ts';
import type { QuickBooksSettings } from './settings.ts';

export const deliveryRule = deliveryMisbehaviour.extend({
  /** Of an event within, such as `Invoice`. */
  entity: z.string().optional(),
});

export type DeliveryRule = z.infer<typeof deliveryRule>;

export interface Delivery {
  id: number;
  events: readonly WebhookEvent[];
  body: string;
  state: 'waiting' | 'delivered' | 'failed' | 'lost';
  /** `failure` null: acknowledged, which takes a 200 in time. */
  attempts: { at: string; status: number | null; failure: string | null }[];
}

/** Where the app wants to be told, and with what the notes are signed. */
export const webhookEndpoint = z.object({ url: z.string().nullable(), verifierToken: z.string() });

export type WebhookEndpoint = z.infer<typeof webhookEndpoint>;

export interface Webhooks {
  endpoint(): WebhookEndpoint;
  /** A null URL ends the subscription. Until there is one nothing is sent, nor kept for later. */
  setEndpoint(endpoint: WebhookEndpoint): void;
  /** Something was written; told when its company is connected. */
  tell(realmId: string, change: Change): void;
  list(): readonly Delivery[];
  clear(): void;
  addRule(rule: DeliveryRule): void;
  rules(): readonly DeliveryRule[];
  clearRules(): void;
}

export interface WebhooksOptions {
  clock: Clock;
  settings: () => QuickBooksSettings;
  endpoint: WebhookEndpoint;
  isConnected: (realmId: string) => boolean;
  save: (endpoint: WebhookEndpoint) => void;
  /** Ends waits and requests when the sandbox closes. */
  signal: AbortSignal;
  log: (line: object) => void;
}

/** Intuit's page on webhooks. The real service goes on every six hours; this one gives up. */
const retryWaitsMs = [10, 20, 30, 300, 1_200, 7_200, 14_400, 21_600].map((seconds) => seconds * 1_000);
const longest = 2_000;
/** Of CloudEvents: how many have an id that is longer than a UUID. */
const longIdShare = 0.2;

/** What QuickBooks tells the app's one endpoint. What was not acknowledged when the sandbox closes never is. */
export function openWebhooks(options: WebhooksOptions): Webhooks {
  const { clock, settings, signal } = options;
  const rules = openRules<DeliveryRule>();
  const holds = openHolds(clock, signal);
  const underWay = new Set<Promise<void>>();
  let endpoint = options.endpoint;
  let deliveries: Delivery[] = [];
  let lastId = 0;
  let gathered: WebhookEvent[] = [];
  let cancelFlush = () => undefined as void;

  const attempt = async (delivery: Delivery, { signature }: DeliveryRule): Promise<boolean> => {
    const { url, verifierToken } = endpoint;
    if (url === null) return false;
    const headers = {
      'content-type': 'application/json',
      'user-agent': 'intuit_notification_server',
      ...signatureHeaders(delivery.body, verifierToken, signature),
    };
    const timeoutMs = settings().webhookTimeoutMs;
    const { failure, ...sent } = await post(url, headers, delivery.body, { clock, signal, timeoutMs });
    const done = sent.status === 200;
    delivery.attempts.push({ ...sent, failure: failure ?? (done ? null : 'not acknowledged') });
    return done;
  };
  const deliver = async (delivery: Delivery, rule: DeliveryRule): Promise<void> => {
    if (rule.delayMs > 0) await clock.sleep(rule.delayMs, signal);
    if (rule.after > 0) await holds.wait(delivery.id, rule.after);
    let done = await attempt(delivery, rule);
    holds.passed(delivery.id);
    for (const waitMs of retryWaitsMs) {
      if (done || endpoint.url === null) break;
      await clock.sleep(waitMs * settings().webhookRetryScale, signal);
      done = await attempt(delivery, rule);
    }
    delivery.state = done ? 'delivered' : 'failed';
    for (let copy = 0; copy < rule.duplicates; copy += 1) await attempt(delivery, rule);
  };

  const begin = (events: readonly WebhookEvent[]) => {
    const rule =
      rules.take(({ entity }) => entity === undefined || events.some((one) => one.entity === entity)) ??
      deliveryRule.parse({});
    const isLegacy = settings().webhookFormat === 'legacy';
    lastId += 1;
    const delivery: Delivery = {
      id: lastId,
      events,
      body: JSON.stringify(isLegacy ? legacyBody(events) : cloudEventsBody(events, clock.random)),
      state: rule.lost ? 'lost' : 'waiting',
      attempts: [],
    };
    deliveries.push(delivery);
    if (deliveries.length > longest) deliveries = deliveries.slice(-longest / 2);
    if (rule.lost) return;
    const earlier = settings().webhooksHeldBack ? Promise.all(underWay) : Promise.resolve();
    const sending: Promise<void> = earlier
      .then(() => deliver(delivery, rule))
      .catch((error: unknown) => {
        if (!signal.aborted) options.log({ event: 'sandbox.bug', message: String(error) });
      })
      .finally(() => underWay.delete(sending));
    underWay.add(sending);
  };
  const flush = () => {
    const events = gathered;
    gathered = [];
    if (endpoint.url === null) return;
    const bodies = settings().webhooksMixRealms
      ? [events]
      : [...Map.groupBy(events, ({ realmId }) => realmId).values()];
    for (const body of bodies) begin(body);
  };
  signal.addEventListener('abort', () => cancelFlush());

  return {
    endpoint: () => endpoint,
    setEndpoint(next) {
      endpoint = next;
      options.save(next);
    },
    tell(realmId, { stored, operation, deletedId = null, isTold = true }) {
      if (endpoint.url === null || signal.aborted || !isTold) return;
      if (!options.isConnected(realmId) || stored.kind === 'CompanyInfo') return;
      const uuid = clock.randomUUID();
      gathered.push({
        eventId: clock.random() < longIdShare ? `${uuid}-${realmId}-${stored.updatedAt}` : uuid,
        realmId,
        entity: stored.kind,
        id: stored.record.Id,
        operation,
        deletedId,
        at: stored.updatedAt,
      });
      // What happens together is told together.
      if (gathered.length === 1) cancelFlush = clock.timer(settings().webhookDelayMs, flush);
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
