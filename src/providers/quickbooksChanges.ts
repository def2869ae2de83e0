import { timeOf } from './announcements.ts';
import type { Change, ChangePage, ChangeReads, Position } from './changes.ts';
import { asObject, jsonIn, textOf } from './httpFaults.ts';
import { getFrom, nameLists, snapshotOf } from './quickbooksRequests.ts';

/**
 * QuickBooks' changes of one resource. `cdc` ("change data capture") tells deletions too, but looks back 30 days, and
 * answers at most 1,000 objects without saying that there are more. Beyond either edge, a query by the time of the last
 * change goes on; it knows nothing of deletions.
 */
export function quickbooksChanges(resource: string): ChangeReads {
  return {
    // Changes show up a little late, and several share a second.
    overlapMs: 60_000,
    lookBackMs,

    begin(since, now) {
      if (since === null) return { by: 'query', since: null, start: 1 };
      const isOld = now.getTime() - since.getTime() > lookBackMs;
      return isOld
        ? { by: 'query', since: since.toISOString(), start: 1 }
        : { by: 'cdc', since: since.toISOString() };
    },

    request(target, position) {
      if (position.by === 'cdc') {
        const search = { entities: resource, changedSince: String(position.since) };
        return getFrom(target, 'cdc', search);
      }
      const from = position.from ?? position.since;
      const conditions = [
        ...(nameLists.has(resource) ? ['Active in (true, false)'] : []),
        ...(from === null ? [] : [`MetaData.LastUpdatedTime >= '${from}'`]),
      ];
      const where = conditions.length > 0 ? ` where ${conditions.join(' and ')}` : '';
      const query = `select * from ${resource}${where} orderby MetaData.LastUpdatedTime startposition ${position.start} maxresults ${pageSize}`;
      return getFrom(target, 'query', { query });
    },

    parse: (response, position): ChangePage => {
      const body = asObject(jsonIn(response.body));
      const at = timeOf(body?.time);
      const found = position.by === 'cdc' ? listInCdc(body, resource) : listInQuery(body, resource);
      const changes = found.map(changeOf).filter((one) => one !== undefined);
      return { changes, at, next: nextOf(position, found), isWhole: position.since === null };
    },
  };
}

const day = 86_400_000;
/** A day less than `cdc` has: the clock that counts is Intuit's. */
const lookBackMs = 29 * day;
/** Both of `cdc` and of a query. */
const pageSize = 1_000;

/**
 * Pages of a query are counted off from its beginning: were the next one asked for by its number, what was deleted or
 * changed meanwhile would move others over the edge, unseen. So it begins at the time of the last one seen, and only
 * within one time by number.
 */
function nextOf(position: Position, found: readonly unknown[]): Position | undefined {
  // Reports say that a page may hold one more than was asked for: only a short one is the last.
  if (found.length < pageSize) return undefined;
  if (position.by === 'cdc') return { by: 'query', since: position.since!, start: 1 };
  const last = timeOf(asObject(asObject(found.at(-1))?.MetaData)?.LastUpdatedTime);
  const from = position.from ?? position.since;
  if (!last || (from !== null && last.getTime() <= Date.parse(String(from))))
    return { ...position, start: Number(position.start) + found.length };
  return { ...position, from: last.toISOString(), start: 1 };
}

function listInCdc(body: Record<string, unknown> | undefined, resource: string): unknown[] {
  return listOf(body?.CDCResponse).flatMap((part) =>
    listOf(asObject(part)?.QueryResponse).flatMap((one) => listOf(asObject(one)?.[resource])),
  );
}

function listInQuery(body: Record<string, unknown> | undefined, resource: string): unknown[] {
  return listOf(asObject(body?.QueryResponse)?.[resource]);
}

/** A deleted object is a stub that says so. */
function changeOf(value: unknown): Change | undefined {
  const object = asObject(value);
  const externalId = textOf(object?.Id);
  if (!object || externalId === undefined) return undefined;
  if (textOf(object.status)?.toLowerCase() === 'deleted')
    return { kind: 'DELETED', externalId, deletedAt: timeOf(asObject(object.MetaData)?.LastUpdatedTime) };
  const snapshot = snapshotOf(object);
  return snapshot && { kind: 'UPSERTED', externalId, snapshot };
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
