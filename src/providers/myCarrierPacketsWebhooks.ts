import { bodyHash, jsonOf, timeOf, UnreadableWebhook, type Announcement } from './announcements.ts';
import { asObject, textOf } from './httpFaults.ts';

/**
 * MyCarrierPackets' webhooks (vendor's page, "Webhooks"): one event a request, to an address of the customer's own.
 * They carry no id, and are sent again with the same body: its hash is their name.
 */
export function parseMyCarrierPacketsWebhook(body: Buffer): Announcement {
  const event = asObject(jsonOf(body));
  const type = textOf(event?.eventType);
  if (!event || type === undefined) throw new UnreadableWebhook('The event has no eventType.');
  const data = asObject(event.eventData);
  const carrier = asObject(data?.carrier);
  const dotNumber = numberOf(carrier?.dotNumber ?? carrier?.DOTNumber);
  const resource = type === 'carrier.packet.completed' ? 'CompletedPacket' : 'Carrier';
  if (dotNumber === undefined || !type.startsWith('carrier.')) return { notices: [] };
  const told = {
    account: null,
    occurredAt: timeOf(event.eventDateTime),
    kind: 'record',
    change: 'UPSERTED',
  } as const;
  const eventId = bodyHash(body);
  const own = { ...told, resource: 'Carrier', externalId: dotNumber, eventId };
  // A completed packet is a change of its carrier too.
  return {
    notices:
      resource === 'Carrier'
        ? [own]
        : [own, { ...told, resource, externalId: dotNumber, eventId: `${eventId} packet` }],
  };
}

const numberOf = (value: unknown): string | undefined =>
  typeof value === 'number'
    ? String(value)
    : /^\d{1,12}$/.test(textOf(value) ?? '')
      ? textOf(value)
      : undefined;
