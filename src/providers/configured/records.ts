import type { RecordReads } from '../provider.ts';
import { compiled } from './forms.ts';
import { answerAt, listAt, readRequest, snapshotOf } from './requests.ts';
import type { Entry } from './schema.ts';

/** Of letters that need no care in a path. */
const usualId = /^(?!\.{1,2}$)[\w.:@-]{1,128}$/;

/** Reads of records by id, one by one or several at once. */
export function recordReadsOf(entry: Entry): RecordReads {
  const { resources, api } = entry;
  const readable = Object.entries(resources).filter(([, { path, batch }]) => path ?? batch);
  const batches = readable.flatMap(([name, { batch }]) => (batch ? [[name, batch.size] as const] : []));
  const batchOf = (resource: string, ids: readonly string[]) => {
    const { path, batch } = resources[resource]!;
    return path === undefined || ids.length > 1 ? batch : undefined;
  };
  return {
    ...(readable.length < Object.keys(resources).length && { only: readable.map(([name]) => name) }),
    batchSize: 1,
    ...(batches.length > 0 && { batchSizes: Object.fromEntries(batches) }),
    idPattern: (api.idPattern === undefined ? undefined : compiled(api.idPattern)) ?? usualId,
    request(target, resource, ids) {
      const batch = batchOf(resource, ids);
      return batch
        ? readRequest(entry, target, resource, batch.path, { ids: ids.join(batch.separator) })
        : readRequest(entry, target, resource, resources[resource]!.path!, { id: ids[0]! });
    },
    parse(response, resource, ids) {
      const facts = resources[resource]!;
      const batch = batchOf(resource, ids);
      const snapshots = batch
        ? listAt(answerAt(response, batch.itemsPath)).map((one) => snapshotOf(one, facts))
        : [snapshotOf(answerAt(response, facts.recordPath), facts, ids[0])];
      // Another record than the one that was asked for is none.
      const wanted = snapshots.filter((one) => one !== undefined && ids.includes(one.externalId));
      return new Map(wanted.map((one) => [one!.externalId, one!]));
    },
  };
}
