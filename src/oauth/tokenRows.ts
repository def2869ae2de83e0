import DataLoader from 'dataloader';
import {
  sql,
  type Insertable,
  type Kysely,
  type Selectable,
  type Transaction,
  type Updateable,
} from 'kysely';
import type { Clock } from '../clock.ts';
import { statement, type Value } from '../db/statements.ts';
import type { Tables } from '../db/tables.ts';
import type { AccountKeys, ConnectionRef, Open } from './accountKeys.ts';

/**
 * The rows of `oauth_tokens` and the lease on each: whoever holds it, and nobody else, asks the provider for a new
 * token. It is taken, renewed and released by conditional UPDATEs that compare the row's version, by the database's
 * time; no transaction is open meanwhile.
 */
export type TokenRow = Selectable<Tables['oauth_tokens']>;
export type TokenValues = Omit<Insertable<Tables['oauth_tokens']>, 'version'>;

/** A plain token, for the call that needs it and no longer. `version` tells whether it has been replaced since. */
export interface AccessToken {
  value: string;
  version: number;
}

export interface StoredToken {
  row: TokenRow;
  open: Open;
}

export interface Lease extends StoredToken {
  ref: ConnectionRef;
  owner: string;
}

export interface TokenRows {
  /** One statement for each account, for all that a tick asks for; keeps nothing. */
  find(ref: ConnectionRef): Promise<StoredToken | undefined>;
  /** The row as it is when the lease is ours. Undefined when it has moved on, or somebody else holds a lease. */
  take(ref: ConnectionRef, version: number, leaseMs: number): Promise<Lease | undefined>;
  /** Takes the leases of connections whose refresh is due, the longest due first; those that cool down wait. */
  takeDue(most: number, leaseMs: number): Promise<Lease[]>;
  /** Notes that a request may be under way, and renews the lease. False: it is another's by now. */
  journal(lease: Lease, leaseMs: number): Promise<boolean>;
  /** False: it is another's by now. */
  extend(lease: Lease, leaseMs: number): Promise<boolean>;
  /** Ends the attempt and the lease. The new version; undefined when the row has moved on, or is another's. */
  replace(trx: Transaction<Tables>, lease: Lease, values: TokenValues): Promise<number | undefined>;
  /** Ends the lease without a new token. False: it was another's. */
  release(trx: Kysely<Tables>, lease: Lease, changes: Release): Promise<boolean>;
}

export type Release = Pick<
  Updateable<Tables['oauth_tokens']>,
  | 'attempt_at'
  | 'attempt_outcome'
  | 'refresh_failures'
  | 'refresh_retry_at'
  | 'refresh_problem'
  | 'refresh_due_at'
>;

const tokensOf = statement(
  (_, value: Value<{ accountId: string; ids: readonly string[] }>) => sql<TokenRow>`
    select t.* from unnest(${value('ids')}::uuid[]) as asked (id)
    cross join lateral (
      select * from oauth_tokens where account_id = ${value('accountId')} and connection_id = asked.id limit 1
    ) t`,
);

/** PostgreSQL's channel on which processes tell each other that a lease has ended; the payload is a connection's id. */
export const tokenChannel = 'oauth_tokens';

export function createTokenRows(deps: {
  db: Kysely<Tables>;
  forAccount: (accountId: string) => Kysely<Tables>;
  keys: AccountKeys;
  clock: Clock;
}): TokenRows {
  const { db, forAccount, keys, clock } = deps;
  const keyOf = (accountId: string, connectionId: string) => JSON.stringify([accountId, connectionId]);

  const rows = new DataLoader<ConnectionRef, StoredToken | undefined>(
    async (refs) => {
      const found = new Map<string, StoredToken>();
      await Promise.all(
        [...Map.groupBy(refs, (ref) => ref.accountId)].map(async ([accountId, own]) => {
          const ids = [...new Set(own.map((ref) => ref.id))];
          const list = await tokensOf(forAccount(accountId), { accountId, ids });
          // After the rows: a value may have been sealed anew meanwhile, with a key that is new too.
          const open = await keys.opener(forAccount(accountId), accountId);
          for (const row of list) found.set(keyOf(accountId, row.connection_id), { row, open });
        }),
      );
      return refs.map((ref) => found.get(keyOf(ref.accountId, ref.id)));
    },
    { cache: false, maxBatchSize: 1_000 },
  );

  const until = (leaseMs: number) => sql<Date>`clock_timestamp() + ${leaseMs} * interval '1 millisecond'`;
  const free = sql<boolean>`(lease_until is null or lease_until < clock_timestamp())`;
  const update = (own: Kysely<Tables>, ref: ConnectionRef, version: number) =>
    own
      .updateTable('oauth_tokens')
      .where('account_id', '=', ref.accountId)
      .where('provider', '=', ref.integrationId)
      .where('connection_id', '=', ref.id)
      .where('version', '=', version);
  const ours = (own: Kysely<Tables>, { ref, row, owner }: Lease) =>
    update(own, ref, row.version).where('lease_owner', '=', owner);
  const moved = async (query: { executeTakeFirst(): Promise<{ numUpdatedRows: bigint }> }) =>
    (await query.executeTakeFirst()).numUpdatedRows > 0n;
  const told = (trx: Kysely<Tables>, { ref }: Lease) =>
    sql`select pg_notify(${tokenChannel}, ${ref.id})`.execute(trx);

  return {
    find: (ref) => rows.load(ref),

    async take(ref, version, leaseMs) {
      const owner = clock.randomUUID();
      const own = forAccount(ref.accountId);
      const row = await update(own, ref, version)
        .set({ lease_owner: owner, lease_until: until(leaseMs) })
        .where(free)
        .returningAll()
        .executeTakeFirst();
      return row && { ref, row, owner, open: await keys.opener(own, ref.accountId) };
    },

    async takeDue(most, leaseMs) {
      const owner = clock.randomUUID();
      const due = sql<Date>`greatest(refresh_due_at, refresh_retry_at)`;
      const taken = await db
        // Read again by some plan, its limit would count anew, past the rows that are locked already.
        .with(
          (cte) => cte('due').materialized(),
          (own) =>
            own
              .selectFrom('oauth_tokens')
              .select(['account_id', 'provider'])
              .where('refresh_due_at', 'is not', null)
              .where(due, '<=', new Date(clock.now()))
              .where(free)
              .orderBy(due)
              .limit(most)
              .forUpdate()
              .skipLocked(),
        )
        .updateTable('oauth_tokens')
        .set({ lease_owner: owner, lease_until: until(leaseMs) })
        .where(({ eb, refTuple, selectFrom }) =>
          eb(
            refTuple('account_id', 'provider'),
            'in',
            selectFrom('due').select(['account_id', 'provider']).$asTuple('account_id', 'provider'),
          ),
        )
        .returningAll()
        .execute();
      const openers = new Map<string, Promise<Open>>();
      const opener = (accountId: string) => {
        const known = openers.get(accountId) ?? keys.opener(forAccount(accountId), accountId);
        openers.set(accountId, known);
        return known;
      };
      return Promise.all(
        taken.map(async (row) => ({
          ref: { accountId: row.account_id, id: row.connection_id, integrationId: row.provider },
          row,
          owner,
          open: await opener(row.account_id),
        })),
      );
    },

    journal: (lease, leaseMs) =>
      moved(
        ours(forAccount(lease.ref.accountId), lease).set({
          attempt_at: sql<Date>`clock_timestamp()`,
          attempt_outcome: null,
          lease_until: until(leaseMs),
        }),
      ),

    extend: (lease, leaseMs) =>
      moved(ours(forAccount(lease.ref.accountId), lease).set({ lease_until: until(leaseMs) })),

    async replace(trx, lease, values) {
      const { ref, row, owner } = lease;
      // Whoever lost the lease may still store, as long as nobody has taken it and nothing has moved.
      const written = await update(trx, ref, row.version)
        .set({ ...values, ...ended, version: row.version + 1 })
        .where((eb) => eb.or([eb('lease_owner', '=', owner), eb('lease_owner', 'is', null)]))
        .returning('version')
        .executeTakeFirst();
      if (written) await told(trx, lease);
      return written?.version;
    },

    async release(trx, lease, changes) {
      const was = await moved(ours(trx, lease).set({ ...changes, lease_owner: null, lease_until: null }));
      if (was) await told(trx, lease);
      return was;
    },
  };
}

/** Where no other process can be alive, whoever holds a lease is dead: nobody has to wait for its end. */
export async function endAllLeases(db: Kysely<Tables>): Promise<void> {
  const now = sql<Date>`clock_timestamp()`;
  await db.updateTable('oauth_tokens').set({ lease_until: now }).where('lease_until', '>', now).execute();
}

/** What a new token leaves of the attempts before it. */
export const ended = {
  lease_owner: null,
  lease_until: null,
  attempt_at: null,
  attempt_outcome: null,
  refresh_failures: 0,
  refresh_retry_at: null,
  refresh_problem: null,
} as const;
