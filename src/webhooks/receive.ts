import { createHash } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Clock } from '../clock.ts';
import type { WebhookSecrets } from '../connections/webhookSecrets.ts';
import type { StoredNotice, Tables } from '../db/tables.ts';
import type { Log } from '../log.ts';
import { within } from '../deadline.ts';
import { UnreadableWebhook, type Announcement, type Notice } from '../providers/announcements.ts';
import type { Catalog, ConfiguredProvider } from '../providers/catalog.ts';
import { insertDeliveries, type NewDelivery } from './deliveryRows.ts';
import { createGroupCommit, NotStored } from './groupCommit.ts';
import { verify } from './verify.ts';

/**
 * Webhooks as they arrive: the signature is checked over the bytes, what they say is stored, and only then the sender is
 * told so. Working it off is another matter (`deliver.ts`). Nothing is acknowledged that is not on disk, and what comes
 * twice is stored once.
 */
export interface Receiver {
  /** Never rejects. */
  receive(request: WebhookRequest): Promise<WebhookAnswer>;
}

export interface WebhookRequest {
  integrationId: string;
  /** From the address, where it names one. */
  connectionId?: string | undefined;
  /** Lower-case names. */
  headers: Readonly<Record<string, string | undefined>>;
  body: Buffer;
}

export interface WebhookAnswer {
  status: 200 | 400 | 401 | 404 | 415 | 503;
  body: Record<string, unknown>;
  retryAfterSeconds?: number;
}

/** How a request ended, and with `duplicate` what part of its notices was known: for metrics. */
export type WebhookOutcome =
  'stored' | 'duplicate' | 'nothing' | 'challenge' | 'refused' | 'wrong type' | 'unreadable' | 'unavailable';

const rowsAtOnce = 100;
const batchesInFlight = 2;
const mostWaitingRows = 10_000;
/** Intuit and Slack hang up after 3 s. */
const patienceMs = 2_500;
const comeAgainSeconds = 5;
const longestText = 256;
/** Checked in place of secrets that do not exist, so that a wrong address takes as long as a wrong signature. */
const nobodysSecret = Buffer.alloc(32, 'x').toString('base64');

export function createReceiver(deps: {
  /** Past all walls: of whom a delivery is, it tells itself. */
  db: Kysely<Tables>;
  catalog: Catalog;
  secrets: WebhookSecrets;
  clock: Clock;
  log: Log;
  onReceived?: (integrationId: string, outcome: WebhookOutcome, count: number) => void;
}): Receiver {
  const { db, catalog, secrets, clock, log, onReceived = () => {} } = deps;
  const commits = createGroupCommit<NewDelivery>({
    async write(rows) {
      const stored = await insertDeliveries(db, rows);
      for (const [integrationId, own] of Map.groupBy(rows, (row) => row.integrationId)) {
        const doubles = own.length - (stored.get(integrationId) ?? 0);
        if (doubles > 0) onReceived(integrationId, 'duplicate', doubles);
      }
    },
    ...{ rowsAtOnce, batchesInFlight, mostWaitingRows, patienceMs, clock },
  });

  const answer = async (
    configured: ConfiguredProvider,
    request: WebhookRequest,
  ): Promise<[WebhookOutcome, WebhookAnswer]> => {
    const { provider } = configured;
    const { webhook } = provider;
    if (!webhook) return ['refused', { status: 404, body: { error: 'This integration sends no webhooks.' } }];
    if (!isJson(request.headers))
      return ['wrong type', { status: 415, body: { error: 'The content type must be application/json.' } }];

    const own = webhook.secretOf === 'connection';
    const recipient = own
      ? await within(secrets.find(provider.id, request.connectionId), patienceMs, clock)
      : undefined;
    const accepted = own
      ? recipient?.secrets
      : request.connectionId === undefined && configured.webhookSecrets;
    const known = accepted && accepted.length > 0;
    const verdict = verify(webhook.scheme, known ? accepted : [nobodysSecret], request, clock.now());
    if (!known || !verdict.verified) {
      const reason = known && !verdict.verified ? verdict.reason : 'no secret';
      log.info({ integrationId: provider.id, reason }, 'a webhook was refused');
      return ['refused', { status: 401, body: { error: 'The signature does not verify.' } }];
    }

    let announcement: Announcement;
    try {
      announcement = webhook.parse(request.body, provider.resources);
    } catch (error) {
      if (!(error instanceof UnreadableWebhook))
        log.error({ integrationId: provider.id, err: error }, 'a webhook could not be read');
      const message = error instanceof UnreadableWebhook ? error.message : 'The body cannot be read.';
      return ['unreadable', { status: 400, body: { error: message } }];
    }
    const { challenge } = announcement;
    if (challenge !== undefined) return ['challenge', { status: 200, body: { challenge } }];
    const receivedAt = new Date(clock.now());
    // Where the sender names its request, that is one event, whatever the body says.
    const idOf = ({ eventId }: Notice, i: number) =>
      verdict.id === undefined ? eventId : i === 0 ? verdict.id : `${verdict.id} ${i}`;
    const rows = announcement.notices.flatMap((notice, i): NewDelivery[] => {
      if (!isReadable(configured, notice)) return [];
      return [
        {
          integrationId: provider.id,
          accountExternalId: recipient ? null : notice.account,
          recipient: recipient ?? null,
          eventId: short(idOf(notice, i)),
          notice: storedNotice(notice),
          receivedAt,
        },
      ];
    });
    if (rows.length === 0) return ['nothing', { status: 200, body: {} }];
    await commits.store(rows);
    return ['stored', { status: 200, body: {} }];
  };

  return {
    async receive(request) {
      const configured = catalog.find(request.integrationId);
      if (!configured) return { status: 404, body: { error: 'There is no such integration.' } };
      try {
        const [outcome, said] = await answer(configured, request);
        onReceived(request.integrationId, outcome, 1);
        return said;
      } catch (error) {
        const cause = error instanceof NotStored ? (error.cause ?? error.message) : error;
        log.warn({ integrationId: request.integrationId, err: cause }, 'a webhook could not be stored');
        onReceived(request.integrationId, 'unavailable', 1);
        const body = { error: 'This cannot be stored at present: please send it again.' };
        return { status: 503, body, retryAfterSeconds: comeAgainSeconds };
      }
    },
  };
}

function isJson({
  'content-type': type = '',
  'content-encoding': encoding = 'identity',
}: WebhookRequest['headers']) {
  return /^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(type) && /^identity$/i.test(encoding);
}

/** What cannot be asked for is not stored; neither is what the database could not hold. */
function isReadable({ provider }: ConfiguredProvider, notice: Notice): boolean {
  if (notice.account !== null && !isText(notice.account)) return false;
  if (notice.kind !== 'record') return true;
  return (
    provider.resources.includes(notice.resource) &&
    isText(notice.externalId) &&
    provider.records.idPattern.test(notice.externalId)
  );
}

const isText = (text: string) =>
  text !== '' && text.length <= longestText && !text.includes('\0') && text.isWellFormed();

const short = (eventId: string) =>
  isText(eventId) ? eventId : createHash('sha256').update(eventId).digest('hex');

function storedNotice(notice: Notice): StoredNotice {
  const occurredAt = notice.occurredAt?.toISOString() ?? null;
  if (notice.kind === 'missed') return { kind: 'missed', occurredAt };
  if (notice.kind === 'revoked')
    return { kind: 'revoked', occurredAt, users: notice.users?.filter(isText).slice(0, 1_000) ?? null };
  const { resource, externalId, change } = notice;
  return { kind: 'record', occurredAt, resource, externalId, change };
}
