import { timeOf } from './announcements.ts';
import type { Change, ChangePage, ChangeReads, Position } from './changes.ts';
import { asObject, jsonIn } from './httpFaults.ts';
import { dotNumberIn, read, timeText } from './myCarrierPacketsRequests.ts';

/**
 * MyCarrierPackets' changes between two times. The vendor does not say in which zone its times are (UTC, as the name of
 * one member says), so an overlap of hours is cheap insurance: what is read twice changes nothing. Nothing tells
 * deletions.
 */
export function myCarrierPacketsChanges(resource: string): ChangeReads {
  const lists = reads[resource]!;
  const listAt = (position: Position) => lists[Number(position.list ?? 0)]!;
  return {
    overlapMs: 15 * 60_000,
    // The vendor's guide: "not more often than every 4 minutes", and two resources ask for the changes of carriers.
    leastIntervalMs: lists[0]!.paged ? 480_000 : 240_000,

    begin: (since, now) => ({
      from: timeText(since ?? new Date(now.getTime() - firstLookBackMs)),
      to: timeText(now),
      list: 0,
      page: 1,
    }),

    request(target, position) {
      const { operation, paged } = listAt(position);
      return {
        ...read(target, operation, {
          fromDate: String(position.from),
          toDate: String(position.to),
          ...(paged && { pageNumber: String(position.page), pageSize: String(pageSize) }),
        }),
        // The interval holds for the first page: the others belong to it.
        ...(position.page !== 1 && { operation: `${operation}, a further page` }),
      };
    },

    parse(response, position): ChangePage {
      const { paged, listIn, changeOf } = listAt(position);
      const body = jsonIn(response.body);
      const found = listIn(body);
      const changes = found.map(changeOf).filter((one) => one !== undefined);
      const at = timeOf(withZone(asObject(body)?.RequestDateTimeUtc)) ?? timeOf(withZone(position.to));
      return { changes, next: nextOf(position, paged && found.length >= pageSize), at, isWhole: false };
    },
  };

  function nextOf(position: Position, hasMore: boolean): Position | undefined {
    if (hasMore) return { ...position, page: Number(position.page) + 1 };
    const list = Number(position.list ?? 0) + 1;
    return list < lists.length ? { ...position, list, page: 1 } : undefined;
  }
}

const firstLookBackMs = 30 * 86_400_000;
const pageSize = 250;

interface Reads {
  operation: string;
  paged: boolean;
  listIn(body: unknown): unknown[];
  changeOf(value: unknown): Change | undefined;
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
const changedCarriers = {
  operation: 'CarriersChanges',
  paged: true,
  listIn: (body: unknown) => listOf(asObject(body)?.CarrierList),
};
const completedPackets = { operation: 'CompletedPackets', paged: false, listIn: listOf };

/** By resource: the lists that tell of its changes, asked for one after the other. */
const reads: Readonly<Record<string, readonly Reads[]>> = {
  // What `GetCarrierData` says of a carrier is in no list: they say only which ones to read. That a packet was completed
  // is not among the changes of carriers.
  Carrier: [
    { ...changedCarriers, changeOf: (value) => changed(carrierIn(value)) },
    { ...completedPackets, changeOf: (value) => changed(dotNumberIn(asObject(value))) },
  ],
  CarrierChange: [
    {
      ...changedCarriers,
      changeOf: (value) => upserted(carrierIn(value), value, asObject(value)?.ChangeDateTime),
    },
  ],
  CompletedPacket: [
    {
      ...completedPackets,
      changeOf: (value) => upserted(dotNumberIn(asObject(value)), value, asObject(value)?.CompletedDate),
    },
  ],
};

const changed = (externalId: string | undefined): Change | undefined =>
  externalId === undefined ? undefined : { kind: 'UPSERTED', externalId };

/** The newest of each carrier is its record. */
function upserted(externalId: string | undefined, value: unknown, updated: unknown): Change | undefined {
  const payload = asObject(value);
  if (!payload || externalId === undefined) return undefined;
  return {
    kind: 'UPSERTED',
    externalId,
    snapshot: { externalId, payload, updatedAt: timeOf(withZone(updated)) },
  };
}

/** Here the number is wrapped: `CarrierDetails.dotNumber.Value`. */
function carrierIn(value: unknown): string | undefined {
  const details = asObject(asObject(value)?.CarrierDetails);
  const wrapped = asObject(details?.dotNumber ?? details?.DotNumber);
  return dotNumberIn(wrapped ? { DOTNumber: wrapped.Value ?? wrapped.value } : details);
}

const withZone = (time: unknown): unknown =>
  typeof time === 'string' && !/(?:Z|[+-]\d\d:\d\d)$/.test(time) ? `${time}Z` : time;
