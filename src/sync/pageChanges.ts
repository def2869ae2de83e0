import type { Kysely } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Patience, ConnectionApi } from '../connections/api.ts';
import type { Connection } from '../connections/connection.ts';
import type { Tables } from '../db/tables.ts';
import { IntegrationError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Catalog } from '../providers/catalog.ts';
import type { ChangePage } from '../providers/changes.ts';
import { isAnnounced } from '../providers/provider.ts';
import type { RecordChange } from './changes.ts';
import { readTogether } from './recordReads.ts';
import type { ClaimedRound, Round } from './rounds.ts';

const mostUnseen = 10_000;

/** What a page of a round comes to. Reads from the provider what it only names; writes nothing. */
export function createPageReader(deps: {
  forAccount: (accountId: string) => Kysely<Tables>;
  catalog: Catalog;
  api: ConnectionApi;
  clock: Clock;
  log: Log;
}) {
  const { forAccount, catalog, api, clock, log } = deps;
  const now = () => new Date(clock.now());

  /** The page's changes, those read that it only names; and at a whole round's end what it did not have. */
  const changesIn = async (
    connection: Connection,
    claimed: ClaimedRound,
    round: Round,
    page: ChangePage,
    /** A record that cannot be read fails the page; else it is left out. */
    isStrict: boolean,
    patience: Patience,
  ): Promise<RecordChange[]> => {
    const { provider } = catalog.find(connection.integrationId)!;
    const { resource } = claimed;
    const awaited =
      round.since !== null && isAnnounced(provider, resource) ? { webhook: 'awaited' as const } : {};
    const changes: RecordChange[] = [];
    const named: string[] = [];
    for (const change of page.changes) {
      if (change.kind === 'DELETED')
        changes.push({
          ...{ resource, externalId: change.externalId, snapshot: null, deletedAt: change.deletedAt },
          ...{ fetchedAt: now(), announced: true, ...awaited },
        });
      else if (change.snapshot)
        changes.push({
          resource,
          externalId: change.externalId,
          snapshot: change.snapshot,
          fetchedAt: now(),
          ...awaited,
        });
      else named.push(change.externalId);
    }
    if (page.isWhole && !page.next) named.push(...(await unseen(connection, claimed, round, page)));
    const refs = [...new Set(named)].map((externalId) => ({ resource, externalId }));
    const canRead = !provider.records.only || provider.records.only.includes(resource);
    if (!canRead)
      return [
        ...changes,
        ...refs.map((ref) => ({ ...ref, snapshot: null, fetchedAt: now(), announced: true })),
      ];
    const verdicts = await readTogether(provider, refs, (_, ids) =>
      api.records(connection, resource, ids, patience),
    );
    for (const ref of refs) {
      const verdict = verdicts.get(ref);
      if ('snapshot' in verdict)
        changes.push({ ...ref, snapshot: verdict.snapshot, fetchedAt: now(), announced: true, ...awaited });
      else if (isStrict || !(verdict.failure instanceof IntegrationError)) throw verdict.failure;
      else
        log.warn(
          { connectionId: connection.id, ...ref, code: verdict.failure.code },
          'a record cannot be read and is left out of the sync',
        );
    }
    return changes;
  };

  /** What is stored and was in no page of this round. Read one by one before it is believed to be gone. */
  const unseen = async (
    { accountId, id }: Connection,
    { resource }: ClaimedRound,
    round: Round,
    page: ChangePage,
  ): Promise<string[]> => {
    const seen = new Set(page.changes.map((change) => change.externalId));
    const rows = await forAccount(accountId)
      .selectFrom('external_records')
      .select('external_id')
      .where('account_id', '=', accountId)
      .where('connection_id', '=', id)
      .where('resource', '=', resource)
      .where('deleted', '=', false)
      .where('fetched_at', '<', new Date(round.startedAt))
      .limit(mostUnseen)
      .execute();
    return rows.map((row) => row.external_id).filter((externalId) => !seen.has(externalId));
  };

  return changesIn;
}
