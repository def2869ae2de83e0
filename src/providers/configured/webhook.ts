import { valueAt } from '../../calls/valueAt.ts';
import { bodyHash, jsonOf, UnreadableWebhook, type Announcement, type Notice } from '../announcements.ts';
import { textOf } from '../httpFaults.ts';
import type { WebhookFacts } from '../provider.ts';
import { githubScheme, standardScheme, stripeScheme, type SignatureScheme } from '../signatures.ts';
import { idOf, timeIn } from './requests.ts';
import type { Webhook } from './webhookShape.ts';

export function webhookOf(webhook: Webhook): WebhookFacts {
  return {
    scheme: schemeOf(webhook.verifier),
    secretOf: webhook.secretOf,
    parse: (body) => announcementIn(webhook, body),
  };
}

function schemeOf(verifier: Webhook['verifier']): SignatureScheme {
  const { scheme } = verifier;
  if (scheme !== 'hmac')
    return { github: githubScheme, stripe: stripeScheme, standard: standardScheme }[scheme];
  const { timestampHeader, idHeader, prefix } = verifier;
  return {
    header: verifier.header!.toLowerCase(),
    form: 'plain',
    ...(prefix !== undefined && { label: prefix }),
    algorithm: verifier.algo ?? 'sha256',
    encoding: verifier.encoding ?? 'hex',
    secretEncoding: verifier.secretEncoding ?? 'utf8',
    signed: (verifier.signedTemplate ?? '{body}').replaceAll('{ts}', '{timestamp}'),
    ...(timestampHeader !== undefined && {
      timestamp: { header: timestampHeader.toLowerCase() },
      toleranceSeconds: verifier.toleranceSec ?? 300,
    }),
    ...(idHeader !== undefined && { idHeader: idHeader.toLowerCase() }),
  };
}

/** Where the description names no events, every delivery means that something has changed. */
function announcementIn(webhook: Webhook, bytes: Buffer): Announcement {
  const body = jsonOf(bytes);
  const items = webhook.itemsPath === undefined ? body : valueAt(body, webhook.itemsPath);
  const hash = bodyHash(bytes);
  const said = Array.isArray(items) ? (items as unknown[]) : [items];
  return { notices: said.flatMap((one, i) => noticeIn(webhook, one, i === 0 ? hash : `${hash} ${i}`)) };
}

/** @param unnamed the event's id where the body has none */
function noticeIn(webhook: Webhook, body: unknown, unnamed: string): Notice[] {
  const at = (path: string | undefined) => (path === undefined ? undefined : valueAt(body, path));
  const account = idOf(at(webhook.tenantIdPath)) ?? null;
  if (account === null && webhook.secretOf === 'application')
    throw new UnreadableWebhook('The body does not name an account.');
  const told = {
    account,
    eventId: textOf(at(webhook.eventIdPath)) ?? unnamed,
    occurredAt: timeIn(at(webhook.timePath)),
  };
  if (webhook.events.length === 0) return [{ ...told, kind: 'missed' }];
  const type = textOf(at(webhook.typePath));
  const event = webhook.events.find((one) => one.type === type);
  const externalId = event && idOf(at(event.idPath));
  if (!event || externalId === undefined) return [];
  const change = event.deleted ? 'DELETED' : 'UPSERTED';
  return [{ ...told, kind: 'record', resource: event.resource, externalId, change }];
}
