import { createHmac } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import type { Stored } from './company.ts';
import type { QuickBooksSettings } from './settings.ts';

/** Misbehaviour on request, for the next `count` deliveries that match. The first rule that matches applies. */
export const deliveryRule = z.strictObject({
  count: z.int().min(1).default(1),
  /** Of an event within, e.g. `Invoice`. */
  entity: z.string().optional(),
  /** Never sent: only polling finds it. */
  lost: z.boolean().default(false),
  /** Sent so many times more once it was acknowledged or given up. */
  duplicates: z.int().min(0).max(100).default(0),
  /** Waits first, on the sandbox's clock. */
  delayMs: z.int().min(0).default(0),
  /** Sent only after so many later deliveries had their first attempt, or after a minute. */
  after: z.int().min(0).default(0),
  /** Of all attempts. */
  signature: z.enum(['right', 'wrong-secret', 'truncated', 'missing']).default('right'),
});

export type DeliveryRule = z.infer<typeof deliveryRule>;

type Operation = 'Create' | 'Update' | 'Delete' | 'Void';

export interface WebhookEvent {
  realmId: string;
  entity: string;
  id: string;
  operation: Operation;
  at: number;
  eventId: string;
}

export interface Delivery {
  id: number;
  events: WebhookEvent[];
  body: string;
  state: 'waiting' | 'delivered' | 'failed' | 'lost';
  /** `failure` null: acknowledged, which takes a 200 within 3 s. */
  attempts: { at: string; status: number | null; failure: string | null }[];
}

export interface Webhooks {
  endpoint(): string | null;
  /** Null ends the subscription. Until there is one nothing is sent, nor kept for later. */
  setEndpoint(url: string | null): void;
  /** A record was written; told when its company is connected. */
  tell(realmId: string, stored: Stored): void;
  list(): readonly Delivery[];
  clear(): void;
  addRule(rule: DeliveryRule): void;
  rules(): readonly DeliveryRule[];
  clearRules(): void;
}

export interface WebhooksOptions {
  clock: Clock;
  now: () => number;
  settings: () => QuickBooksSettings;
  verifierToken: string;
  endpoint: string | null;
  isConnected: (realmId: string) => boolean;
  save: (endpoint: string | null) => void;
  signal: AbortSignal;
  log: (line: object) => void;
}

/** Intuit's page on webhooks: the pauses before each retry; after the last it goes on every six hours. */
const retryWaitsMs = [10, 20, 30, 300, 1_200, 7_200, 14_400, 21_600].map((seconds) => seconds * 1_000);
const acknowledgedWithinMs = 3_000;
const longestHoldMs = 60_000;
const longest = 2_000;

/** What QuickBooks tells the app's one endpoint. What was not acknowledged when the sandbox closes never is. */
export function openWebhooks(options: WebhooksOptions): Webhooks {
  const { clock, settings, signal } = options;
  let url = options.endpoint;
  let rules: DeliveryRule[] = [];
  let deliveries: Delivery[] = [];
  let lastId = 0;
  let gathered: WebhookEvent[] = [];
  let holds: { id: number; left: number; release: () => void }[] = [];
  let line: Promise<void> = Promise.resolve();

  const attemptOf = async (delivery: Delivery, { signature }: DeliveryRule): Promise<boolean> => {
    if (url === null) return false;
    const late = new AbortController();
    const cancel = clock.timer(acknowledgedWithinMs, () => late.abort());
    const at = new Date(clock.now()).toISOString();
    try {
      const answer = await fetch(url, {
        method: 'POST',
        redirect: 'manual',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'intuit_notification_server',
          ...signed(delivery.body, signature, options.verifierToken),
        },
        body: delivery.body,
        signal: AbortSignal.any([signal, late.signal]),
      });
      await answer.arrayBuffer();
      const failure = answer.status === 200 ? null : 'not acknowledged';
      delivery.attempts.push({ at, status: answer.status, failure });
      return failure === null;
    } catch {
      signal.throwIfAborted();
      delivery.attempts.push({ at, status: null, failure: late.signal.aborted ? 'timeout' : 'connection' });
      return false;
    } finally {
      cancel();
    }
  };
  const deliver = async (delivery: Delivery, rule: DeliveryRule): Promise<void> => {
    if (rule.delayMs > 0) await clock.sleep(rule.delayMs, signal);
    if (rule.after > 0) await heldBack(delivery.id, rule.after);
    let done = await attemptOf(delivery, rule);
    letGo(delivery.id);
    for (const waitMs of retryWaitsMs) {
      if (done) break;
      await clock.sleep(waitMs * settings().webhookRetryScale, signal);
      done = await attemptOf(delivery, rule);
    }
    delivery.state = done ? 'delivered' : 'failed';
    for (let copy = 0; copy < rule.duplicates; copy += 1) await attemptOf(delivery, rule);
  };

  const heldBack = async (id: number, left: number): Promise<void> => {
    const released = new AbortController();
    holds.push({ id, left, release: () => released.abort() });
    await clock
      .sleep(longestHoldMs, AbortSignal.any([signal, released.signal]))
      .catch(() => signal.throwIfAborted());
  };
  const letGo = (id: number) => {
    for (const hold of holds) if (hold.id < id) hold.left -= 1;
    for (const { release } of holds.filter(({ left }) => left <= 0)) release();
    holds = holds.filter(({ left }) => left > 0);
  };
  const takeRule = (events: readonly WebhookEvent[]): DeliveryRule => {
    const rule = rules.find(
      ({ entity }) => entity === undefined || events.some((one) => one.entity === entity),
    );
    if (!rule) return deliveryRule.parse({});
    rule.count -= 1;
    rules = rules.filter(({ count }) => count > 0);
    return rule;
  };

  const flush = () => {
    const events = gathered;
    gathered = [];
    if (url === null || events.length === 0) return;
    const rule = takeRule(events);
    const body = JSON.stringify(
      settings().webhookFormat === 'legacy'
        ? legacyBody(events)
        : events.map((event) => cloudEvent(event, clock)),
    );
    const delivery: Delivery = {
      ...{ id: ++lastId, events, body, state: rule.lost ? 'lost' : 'waiting', attempts: [] },
    };
    deliveries.push(delivery);
    if (deliveries.length > longest) deliveries = deliveries.slice(-longest / 2);
    if (rule.lost) return;
    const sending = settings().webhooksHeldBack
      ? line.then(() => deliver(delivery, rule))
      : deliver(delivery, rule);
    line = sending.catch((error: unknown) => {
      if (!signal.aborted) options.log({ event: 'sandbox.bug', message: String(error) });
    });
  };

  return {
    endpoint: () => url,
    setEndpoint(next) {
      url = next;
      options.save(next);
    },
    tell(realmId, stored) {
      if (url === null || !options.isConnected(realmId) || stored.kind === 'CompanyInfo') return;
      gathered.push({
        ...{ realmId, entity: stored.kind, id: stored.record.Id, operation: operationOf(stored) },
        ...{ at: stored.updatedAt, eventId: clock.randomUUID() },
      });
      // What happens together is told together.
      if (gathered.length === 1) clock.timer(settings().webhookDelayMs, flush);
    },
    list: () => deliveries,
    clear: () => {
      deliveries = [];
    },
    addRule: (rule) => void rules.push({ ...rule }),
    rules: () => rules,
    clearRules: () => {
      rules = [];
    },
  };
}

function operationOf({ record, deleted }: Stored): Operation {
  if (deleted) return 'Delete';
  if (record.SyncToken === '0') return 'Create';
  return typeof record['PrivateNote'] === 'string' &&
    record['PrivateNote'].startsWith('Voided') &&
    record['TotalAmt'] === 0
    ? 'Void'
    : 'Update';
}

/** The body that subscriptions made before 2026 may still get: one entry for each company. */
function legacyBody(events: readonly WebhookEvent[]): object {
  return {
    eventNotifications: [...Map.groupBy(events, (event) => event.realmId)].map(([realmId, own]) => ({
      realmId,
      dataChangeEvent: {
        entities: own.map(({ entity, id, operation, at }) => ({
          name: entity,
          id,
          operation,
          lastUpdated: new Date(at).toISOString(),
        })),
      },
    })),
  };
}

const pastTense = { Create: 'created', Update: 'updated', Delete: 'deleted', Void: 'voided' } as const;

/** CloudEvents 1.0. Some have no `data`, and some times nine digits of a second. */
function cloudEvent({ realmId, entity, id, operation, at, eventId }: WebhookEvent, clock: Clock): object {
  const time = new Date(at).toISOString();
  return {
    specversion: '1.0',
    id: eventId,
    source: 'intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=',
    type: `qbo.${entity.toLowerCase()}.${pastTense[operation]}.v1`,
    time: clock.random() < 0.2 ? time.replace('Z', '123456Z') : time,
    intuitentityid: id,
    intuitaccountid: realmId,
    ...(clock.random() < 0.8 && { datacontenttype: 'application/json', data: {} }),
  };
}

function signed(body: string, signature: DeliveryRule['signature'], token: string): Record<string, string> {
  if (signature === 'missing') return {};
  const secret = signature === 'wrong-secret' ? `not ${token}` : token;
  const digest = createHmac('sha256', secret).update(body).digest('base64');
  return { 'intuit-signature': signature === 'truncated' ? digest.slice(0, 20) : digest };
}
