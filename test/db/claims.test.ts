import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Database } from '../../src/db/database.ts';
import { createAccountKeys } from '../../src/oauth/accountKeys.ts';
import { parseMasterKeys } from '../../src/oauth/encryption.ts';
import { createTokenRows } from '../../src/oauth/tokenRows.ts';
import { claimRounds } from '../../src/sync/rounds.ts';
import { claimQueues, claimUnclaimed, pruneDeliveries } from '../../src/webhooks/deliveryRows.ts';
import { openCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { addAccounts, masterKey } from '../support/sealedAccounts.ts';

const k1 = masterKey('k1', 1);
const accounts = Array.from({ length: 40 }, (_, i) => `account-${i}`);

/** Without these, PostgreSQL likes to read a subquery again for each row of what it is joined with. */
const costly = 'hashjoin mergejoin material memoize hashagg sort indexscan bitmapscan'.split(' ');

/** Who is given more than it has room for works on more than it may, and removes for longer than it should. */
describe.each(databaseKinds)('what takes up to so many, %s', (_kind, open) => {
  let database: Database;
  beforeEach(async () => {
    database = await open({ poolSize: 1 });
    await addAccounts(database.db, k1, accounts, { tokensOnly: true });
    for (const one of costly) await sql.raw(`set enable_${one} = off`).execute(database.db);
  });
  afterEach(async () => {
    await sql`reset all`.execute(database.db);
    await database.close();
  });
  const now = () => new Date(Date.now() + 1_000);
  /** With statistics from when it was small: such plans are PostgreSQL's own choice then. */
  const grown = async (table: string, columns: string, values: string) => {
    for (const statement of [
      `insert into ${table} (${columns}) select ${values} from connections limit 1`,
      `analyze ${table}`,
      `insert into ${table} (${columns}) select ${values} from connections on conflict do nothing`,
    ])
      await sql.raw(statement).execute(database.db);
  };
  const rows = () =>
    createTokenRows({
      db: database.db,
      forAccount: database.forAccount,
      keys: createAccountKeys(parseMasterKeys(k1), systemClock),
      clock: systemClock,
    });
  const delivered = (count: number, { days = 0, isClaimed = true }) =>
    sql`insert into webhook_deliveries (id, account_id, integration_id, connection_id, account_external_id, event_id,
        notice, received_at)
      select gen_random_uuid(), case when ${isClaimed} then account_id end, integration_id,
        case when ${isClaimed} then id end, external_id, 'event ' || i, '{"kind":"missed"}',
        now() - ${days} * interval '1 day'
      from (select * from connections limit 1) c, generate_series(1, ${count}::int) i`.execute(database.db);
  const deliveries = async () =>
    (await sql<{ n: number }>`select count(*)::int as n from webhook_deliveries`.execute(database.db))
      .rows[0]!.n;

  it('takes no more queues', async () => {
    await grown('delivery_queues', 'account_id, connection_id, due_at', 'account_id, id, now()');
    expect(await claimQueues(database.db, 5, now())).toHaveLength(5);
    expect(await claimQueues(database.db, 100, now())).toHaveLength(35);
  });

  it('takes no more rounds', async () => {
    const columns = 'account_id, connection_id, resource, next_poll_at';
    await grown('sync_rounds', columns, `account_id, id, 'Invoice', now()`);
    expect(await claimRounds(database.db, 5, now())).toHaveLength(5);
    expect(await claimRounds(database.db, 100, now())).toHaveLength(35);
  });

  it('takes no more tokens', async () => {
    await sql`update oauth_tokens set refresh_due_at = now() - interval '1 minute'`.execute(database.db);
    expect(await rows().takeDue(5, 60_000)).toHaveLength(5);
    expect(await rows().takeDue(100, 60_000)).toHaveLength(35);
  });

  it('proves no more connections', async () => {
    const product = await openCore(() => Promise.resolve({ ...database, close: () => Promise.resolve() }));
    await sql`update connections set probe_at = now() - interval '1 minute', checked_at = now()`.execute(
      database.db,
    );
    expect(await product.upkeep.probeDue()).toBe(true);
    const { rows: due } = await sql`select 1 from connections where probe_at < now()`.execute(database.db);
    expect(due).toHaveLength(20);
    await product.close();
  });

  it('removes no more deliveries', async () => {
    await delivered(1_500, { days: 40 });
    expect(await pruneDeliveries(database.db, now())).toBe(true);
    expect(await deliveries()).toBe(500);
    expect(await pruneDeliveries(database.db, now())).toBe(false);
    expect(await deliveries()).toBe(0);
  });

  it('claims no more deliveries', async () => {
    await sql`update connections set external_id = 'theirs' where account_id = 'account-0'`.execute(
      database.db,
    );
    await delivered(1_500, { isClaimed: false });
    await sql`update webhook_deliveries set account_external_id = 'theirs'`.execute(database.db);
    expect(await claimUnclaimed(database.db)).toBe(1_000);
    expect(await claimUnclaimed(database.db)).toBe(500);
    expect(await deliveries()).toBe(1_500);
  });
});
