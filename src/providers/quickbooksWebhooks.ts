import { jsonOf, timeOf, UnreadableWebhook, type Announcement, type Notice } from './announcements.ts';
import { asObject, textOf } from './httpFaults.ts';

/**
 * Intuit's two bodies: CloudEvents, an array, since 2026; and `eventNotifications` before that, which old
 * subscriptions may still send. Events are thin, and may come late, twice and out of order: they say what to read.
 */
export function parseQuickBooksWebhook(body: Buffer, resources: readonly string[]): Announcement {
  const parsed = jsonOf(body);
  const known = new Map(resources.map((name) => [name.toLowerCase(), name]));
  if (Array.isArray(parsed)) return { notices: parsed.flatMap((event) => ofCloudEvent(event, known)) };
  const notifications = asObject(parsed)?.eventNotifications;
  if (!Array.isArray(notifications))
    throw new UnreadableWebhook('The body has neither events nor eventNotifications.');
  return { notices: notifications.flatMap((one) => ofNotification(one, known)) };
}

type Known = ReadonlyMap<string, string>;
interface Told {
  account: string;
  eventId: string;
  resource: string;
  externalId: string;
  operation: string;
  deletedId: string | undefined;
  occurredAt: Date | null;
}

/** `type` is `qbo.<entity>.<operation>.v1`, the entity in lower case. */
function ofCloudEvent(value: unknown, known: Known): Notice[] {
  const event = asObject(value);
  const [, entity = '', operation = ''] = /^qbo\.([a-z]+)\.([a-z]+)\./i.exec(textOf(event?.type) ?? '') ?? [];
  const account = textOf(event?.intuitaccountid);
  const externalId = textOf(event?.intuitentityid);
  const id = textOf(event?.id);
  if (!event || account === undefined || id === undefined)
    throw new UnreadableWebhook('An event names no company or has no id.');
  const resource = known.get(entity.toLowerCase());
  if (resource === undefined || externalId === undefined) return [];
  return noticesOf({
    account,
    eventId: JSON.stringify([id, textOf(event.source) ?? '']),
    resource,
    externalId,
    operation,
    deletedId: textOf(asObject(event.data)?.deletedid),
    occurredAt: timeOf(event.time),
  });
}

function ofNotification(value: unknown, known: Known): Notice[] {
  const notification = asObject(value);
  const account = textOf(notification?.realmId);
  const entities = asObject(notification?.dataChangeEvent)?.entities;
  if (account === undefined || !Array.isArray(entities))
    throw new UnreadableWebhook('A notification names no company or has no entities.');
  return entities.flatMap((one) => {
    const entity = asObject(one);
    const [name, id, operation] = [textOf(entity?.name), textOf(entity?.id), textOf(entity?.operation)];
    const resource = name === undefined ? undefined : known.get(name.toLowerCase());
    if (!entity || resource === undefined || id === undefined) return [];
    const lastUpdated = textOf(entity.lastUpdated) ?? '';
    return noticesOf({
      account,
      eventId: JSON.stringify([account, name, id, operation, lastUpdated]),
      resource,
      externalId: id,
      operation: operation ?? '',
      deletedId: textOf(entity.deletedId),
      occurredAt: timeOf(lastUpdated),
    });
  });
}

/** A merge changes the record that stays and deletes the other. Void and Emailed change the record. */
function noticesOf({ operation, deletedId, ...told }: Told): Notice[] {
  const isDeleted = /^deleted?$/i.test(operation);
  const own: Notice = { ...told, kind: 'record', change: isDeleted ? 'DELETED' : 'UPSERTED' };
  if (deletedId === undefined) return [own];
  return [
    own,
    { ...told, kind: 'record', change: 'DELETED', externalId: deletedId, eventId: `${told.eventId} merged` },
  ];
}
