import { CompiledQuery } from 'kysely';
import { expect, it } from 'vitest';
import { identityOf, openCore } from '../support/core.ts';
import { postgresDatabase } from '../support/databases.ts';

/** Looked for in all accounts, on purpose: none of these goes through an account's own door. */
const acrossAccounts = [/"state_hash"/, /^select .*"connections" where "integration_id"/, /rate_budgets/];
/** The job queue has no accounts; a notification says only where to look. */
const ofNoAccount = [/pgboss/, /pg_notify/, /^listen/, /clock_timestamp\(\)\) \* 1000/];

it('no statement of the product reads or changes anything when it runs for another account', async () => {
  const product = await openCore(postgresDatabase);
  try {
    product.statements.length = 0;
    product.values.length = 0;
    const connection = await product.connected('acme');
    const everything = `{ connections { status problem { code } rateLimit { limit } profile { name }
      record(resource: "Invoice", externalId: "1") { payload } syncStatuses { state }
      events { nodes { kind } } } }`;
    expect((await product.query(everything)).errors).toBeUndefined();
    expect((await product.query(everything)).errors).toBeUndefined();
    await product.connections.refresh(identityOf('acme'), connection.id);
    await product.upkeep.refreshDue();
    await product.upkeep.probeDue();
    const foreign = await product.query(`{ connection(id: "${connection.id}") { id } }`, {}, 'intruder');
    expect(foreign.data).toEqual({ connection: null });

    const ran = product.statements.map((text, i) => ({ text, values: product.values[i]! }));
    const own = ran.filter(
      ({ text }) => ![...acrossAccounts, ...ofNoAccount].some((shape) => shape.test(text)),
    );
    const statements = [...new Map(own.map((one) => [one.text, one])).values()];
    expect(statements.length).toBeGreaterThan(20);

    const leaks: string[] = [];
    for (const { text, values } of statements) {
      const nothing = new Error('rolled back');
      await product.database
        .forAccount('intruder')
        .transaction()
        .execute(async (trx) => {
          const { rows, numAffectedRows } = await trx.executeQuery(CompiledQuery.raw(text, [...values]));
          if (rows.length > 0 || (numAffectedRows ?? 0n) > 0n) leaks.push(text);
          throw nothing;
        })
        .catch((error: Error) => {
          // Refused by the wall, or for want of the row that it would belong to.
          if (error !== nothing && !/row-level security|foreign key/.test(error.message))
            leaks.push(`${text}: ${error.message}`);
        });
    }
    expect(leaks).toEqual([]);
  } finally {
    await product.close();
  }
});
