import type { Kysely } from 'kysely';
import type { Clock } from '../clock.ts';
import type { ConnectionApi } from '../connections/api.ts';
import type { Connection } from '../connections/connection.ts';
import type { Health } from '../connections/states.ts';
import type { StoredNotice, Tables } from '../db/tables.ts';
import { IntegrationError, problem, problemOf, type IntegrationProblem } from '../errors.ts';
import type { Catalog, ConfiguredProvider } from '../providers/catalog.ts';
import type { RecordChange } from '../sync/changes.ts';
import { readTogether, refKey, type RecordRef, type Verdict } from '../sync/recordReads.ts';
import type { Outcome, WaitingDelivery } from './deliveryRows.ts';
import type { Outcomes } from './outcomes.ts';

type RecordNotice = Extract<StoredNotice, { kind: 'record' }>;
interface Told {
  delivery: WaitingDelivery;
  notice: RecordNotice;
}
type Read = RecordRef & { told: Told[] };
interface Failure {
  cause: IntegrationProblem;
  wasSent: boolean;
}

/** What a batch of one connection's deliveries comes to; nothing of it is stored yet. */
export interface WorkedOff {
  /** By the delivery's id. */
  outcomes: Map<string, Outcome>;
  changes: RecordChange[];
  /** Resources of which only a poll can tell. */
  toPoll: Set<string>;
  /** By `refKey`: what was told of each record, in the order of its arrival. */
  about: Map<string, Told[]>;
}

/** All reads of a batch; well within the lease. */
const readWithinMs = 10_000;
/** A record that was announced and is not there: twice, its provider may be behind itself. */
const lookAgain = 2;
/** Between the time of a change and that of its notice. */
const sameTimeMs = 2_000;

/** Reads what a batch announces from the provider, and ends the connection where one says so. */
export function createWorkOff(deps: {
  forAccount: (accountId: string) => Kysely<Tables>;
  catalog: Catalog;
  api: ConnectionApi;
  health: Pick<Health, 'demote'>;
  outcomes: Outcomes;
  clock: Clock;
}): (
  connection: Connection,
  deliveries: readonly WaitingDelivery[],
  signal: AbortSignal,
) => Promise<WorkedOff> {
  const { forAccount, catalog, api, health, clock } = deps;
  const { done, failed } = deps.outcomes;
  const now = () => new Date(clock.now());

  /** Whether the provider has ended this authorization: what was said of an earlier one, or of other people's, is nothing to it. */
  const isEnded = async (connection: Connection, deliveries: readonly WaitingDelivery[]) => {
    // Providers tell seconds.
    const sinceMs = Math.floor((connection.connectedAt?.getTime() ?? 0) / 1_000) * 1_000;
    const said = deliveries.flatMap(({ notice, generation }) => {
      if (notice.kind !== 'revoked' || generation !== connection.generation) return [];
      return notice.occurredAt !== null && timeOf(notice) < sinceMs ? [] : [notice];
    });
    if (said.some(({ users }) => users === null)) return true;
    const users = said.flatMap((notice) => notice.users ?? []);
    if (users.length === 0) return false;
    const row = await forAccount(connection.accountId)
      .selectFrom('oauth_tokens')
      .select('external_user_id')
      .where('account_id', '=', connection.accountId)
      .where('connection_id', '=', connection.id)
      .executeTakeFirst();
    const user = row?.external_user_id;
    return user === null || user === undefined || users.includes(user);
  };
  const end = async (connection: Connection) => {
    const { name } = catalog.find(connection.integrationId)!.provider;
    const cause = problem('REAUTHORIZATION_REQUIRED', `The authorization was ended in ${name}.`, now());
    await health.demote(connection, cause, 'WEBHOOK');
  };

  /** Sorts what is told: outcomes of all that is told of one record are one. */
  const sort = ({ provider }: ConfiguredProvider, deliveries: readonly WaitingDelivery[]) => {
    const about: WorkedOff['about'] = new Map();
    const toPoll = new Set<string>();
    for (const delivery of deliveries) {
      const { notice } = delivery;
      if (notice.kind === 'revoked') continue;
      if (notice.kind === 'missed') for (const resource of provider.resources) toPoll.add(resource);
      else {
        const key = refKey(notice);
        const own = about.get(key);
        if (own) own.push({ delivery, notice });
        else about.set(key, [{ delivery, notice }]);
      }
    }
    const changes: RecordChange[] = [];
    const reads: Read[] = [];
    for (const told of about.values()) {
      const { resource, externalId } = told[0]!.notice;
      const last = told.reduce((a, b) => (timeOf(b.notice) >= timeOf(a.notice) ? b : a)).notice;
      if (last.change === 'DELETED')
        changes.push({
          ...{ resource, externalId, snapshot: null, fetchedAt: now() },
          ...{ announced: true, webhook: 'announced' },
          deletedAt: last.occurredAt === null ? null : new Date(last.occurredAt),
        });
      else if (provider.records.only && !provider.records.only.includes(resource)) toPoll.add(resource);
      else reads.push({ resource, externalId, told });
    }
    return { about, toPoll, changes, reads };
  };

  /** What a record is now, or why the deliveries that told of it have failed. */
  const judge = ({ told, ...ref }: Read, verdict: Verdict, fetchedAt: Date): RecordChange | Failure => {
    if ('failure' in verdict) {
      const { failure } = verdict;
      const wasSent = failure instanceof IntegrationError ? failure.sent : true;
      return { cause: problemOf(failure), wasSent };
    }
    const { snapshot } = verdict;
    if (snapshot === null && told.some(({ delivery }) => delivery.attempts < lookAgain)) {
      const message = 'The provider announced a record that it does not have.';
      return { cause: problem('NOT_FOUND', message, fetchedAt), wasSent: true };
    }
    // A late notice of an earlier version does not announce this one.
    const said = Math.max(
      ...told.map(({ notice }) => (notice.occurredAt === null ? Infinity : timeOf(notice))),
    );
    const isIt = (snapshot?.updatedAt?.getTime() ?? 0) <= said + sameTimeMs;
    return { ...ref, snapshot, fetchedAt, announced: true, ...(isIt && { webhook: 'announced' }) };
  };

  return async (connection, deliveries, signal) => {
    if (await isEnded(connection, deliveries)) await end(connection);
    const configured = catalog.find(connection.integrationId)!;
    const outcomes = new Map(deliveries.map((delivery) => [delivery.id, done(delivery)]));
    const { about, toPoll, changes, reads } = sort(configured, deliveries);
    const verdicts = await readTogether(configured.provider, reads, (resource, ids) =>
      api.records(connection, resource, ids, {
        deadlineAtMs: clock.now() + readWithinMs,
        priority: 'webhook',
        signal,
      }),
    );
    // What we cut off ourselves says nothing of any delivery.
    signal.throwIfAborted();
    const fetchedAt = now();
    for (const read of reads) {
      const judged = judge(read, verdicts.get(read), fetchedAt);
      if (!('cause' in judged)) changes.push(judged);
      else
        for (const { delivery } of read.told)
          outcomes.set(delivery.id, failed(delivery, judged.cause, connection.integrationId, judged.wasSent));
    }
    return { outcomes, changes, toPoll, about };
  };
}

const timeOf = ({ occurredAt }: StoredNotice) => (occurredAt === null ? 0 : Date.parse(occurredAt));
