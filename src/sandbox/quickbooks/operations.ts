import type { Company, WriteOptions } from './company.ts';
import { emptyKindOf, kindOf, withoutChanges, type EntityKind } from './entities.ts';
import { faultBody, faults, QuickBooksFault } from './errors.ts';
import { textOf, type Fields } from './fields.ts';
import { parseQuery } from './query.ts';
import { projectRecord, selectRecords } from './selection.ts';
import type { QuickBooksSettings } from './settings.ts';
import { metaDataTime, parseTime } from './time.ts';

/** What the API does with one company, without HTTP: each returns the members of an answer or throws a fault. */

const dayMs = 86_400_000;
const lookBackDays = 30;
export const largestBatch = 30;

export function runQuery(
  company: Company,
  text: string,
  settings: QuickBooksSettings,
): { QueryResponse: object } {
  const statement = parseQuery(text);
  const kind = kindOf(statement.kind);
  if (!kind) {
    if (!emptyKindOf(statement.kind)) throw faults.queryValidation(`Entity ${statement.kind} not found`);
    return { QueryResponse: statement.select === 'count' ? { totalCount: 0 } : {} };
  }
  const { startPosition, maxResults, select } = statement;
  const byTime = statement.where.some(({ field }) => field === 'MetaData.LastUpdatedTime');
  const visible = company
    .changes(kind.name)
    .filter((one) => !one.deleted && !(byTime && one.updatedAt > company.now - settings.visibilityLagMs))
    .map(({ record }) => record);
  const selected = selectRecords(visible, kind, statement);
  if (select === 'count') return { QueryResponse: { totalCount: selected.length } };
  const length = maxResults + (settings.onePastMaxResults ? 1 : 0);
  const rows = selected.slice(startPosition - 1, startPosition - 1 + length);
  if (rows.length === 0) return { QueryResponse: {} };
  const shown = select === '*' ? rows : rows.map((record) => projectRecord(record, kind, select));
  return { QueryResponse: { [kind.name]: shown, startPosition, maxResults: rows.length } };
}

/** Creates, updates, deletes or voids, by what was sent and asked. */
export function write(
  company: Company,
  kind: EntityKind,
  sent: Fields,
  operation: string | undefined,
  options?: WriteOptions,
): Fields {
  switch (operation?.toLowerCase()) {
    case undefined:
    case 'update':
      return {
        [kind.name]:
          sent['Id'] === undefined
            ? company.create(kind, sent, options)
            : company.update(kind, sent, options),
      };
    case 'create':
      return { [kind.name]: company.create(kind, sent, options) };
    case 'delete':
      return { [kind.name]: company.delete(kind, sent) };
    case 'void':
      return { [kind.name]: company.void(kind, sent) };
    default:
      throw faults.unsupported(String(operation));
  }
}

export function runBatch(
  company: Company,
  body: Fields,
  settings: QuickBooksSettings,
  isRepeatable: boolean,
): { BatchItemResponse: object[] } {
  const items = body['BatchItemRequest'];
  if (!Array.isArray(items) || items.length === 0) throw faults.missing('BatchItemRequest');
  if (items.length > largestBatch) throw faults.batchTooLarge(largestBatch);
  const fields = items.map((item) => (typeof item === 'object' && item !== null ? (item as Fields) : {}));
  if (isRepeatable && fields.some(({ bId }) => textOf(bId).length > 10)) {
    throw faults.badProperty('With a requestid a bId has at most 10 characters', 'bId');
  }
  return { BatchItemResponse: fields.map((item) => runBatchItem(company, item, settings)) };
}

function runBatchItem(company: Company, item: Fields, settings: QuickBooksSettings): object {
  const { bId } = item;
  try {
    if (settings.throttledBatchItems > 0) {
      settings.throttledBatchItems -= 1;
      throw faults.throttled(429);
    }
    if (bId === undefined) throw faults.missing('bId');
    if (item['Query'] !== undefined) return { bId, ...runQuery(company, textOf(item['Query']), settings) };
    const name = Object.keys(item).find((key) => kindOf(key)?.name === key);
    const kind = name === undefined ? undefined : kindOf(name);
    const sent = name === undefined ? undefined : item[name];
    if (!kind || typeof sent !== 'object' || sent === null) throw faults.unsupported('batch item');
    const options = item['optionsData'];
    const operation = options === 'void' ? 'void' : item['operation'];
    if (operation === undefined) throw faults.missing('operation');
    if (operation === 'update' && !('Id' in sent)) throw faults.missing('Id');
    return { bId, ...write(company, kind, sent as Fields, textOf(operation)) };
  } catch (error) {
    if (!(error instanceof QuickBooksFault)) throw error;
    return { ...(bId !== undefined && { bId }), Fault: faultBody(error) };
  }
}

/** Whole objects that changed since, and stubs of those that went. More than one answer holds is cut off silently. */
export function changesSince(
  company: Company,
  entities: string | undefined,
  changedSince: string | undefined,
  settings: QuickBooksSettings,
): { CDCResponse: object[] } {
  if (!entities) throw faults.missing('entities');
  if (!changedSince) throw faults.missing('changedSince');
  const since = parseTime(changedSince);
  if (since === undefined)
    throw faults.badProperty(`Invalid date format for changedSince. Supplied value:${changedSince}`);
  if (since < company.now - lookBackDays * dayMs) {
    throw faults.badProperty(`changedSince must be within the last ${lookBackDays} days`, 'changedSince');
  }
  let left = settings.changesPerAnswer;
  const answers = entities.split(',').map((asked) => {
    const kind = kindOf(asked.trim());
    const empty = emptyKindOf(asked.trim());
    if ((!kind && !empty) || withoutChanges.has(empty ?? '')) throw faults.unsupported(`cdc ${asked.trim()}`);
    if (!kind) return {};
    const changed = company
      .changes(kind.name)
      // QuickBooks compares the time that it shows, which has whole seconds.
      .filter(({ updatedAt }) => Math.floor(updatedAt / 1000) * 1000 >= since)
      .filter(({ updatedAt }) => updatedAt <= company.now - settings.visibilityLagMs)
      .slice(0, left);
    left -= changed.length;
    if (changed.length === 0) return {};
    const rows = changed.map(({ record, updatedAt, deleted }) =>
      deleted
        ? {
            status: 'Deleted',
            domain: 'QBO',
            Id: record.Id,
            MetaData: { LastUpdatedTime: metaDataTime(updatedAt) },
          }
        : record,
    );
    return { [kind.name]: rows, startPosition: 1, maxResults: rows.length };
  });
  return { CDCResponse: [{ QueryResponse: answers }] };
}
