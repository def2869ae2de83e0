import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { nodeFlags, nodeSettings } from '../support/node.ts';
import type { Report } from '../support/accountConditions/program.ts';

/** What stands beside a random id, of which no other account has the same. */
const joins = [
  ['src/oauth/sealedValues.ts', 'where v.account_id = k.account_id and substring('],
  ['src/sync/changes.ts', 'where e.account_id = c.account_id and e.connection_id = c.id'],
  [
    'src/sync/rounds.ts',
    'where d.account_id = r.account_id and d.connection_id = r.connection_id and d.status in',
  ],
  [
    'src/sync/rounds.ts',
    'where d.account_id = r.account_id and d.connection_id = r.connection_id and d.status =',
  ],
  ['src/webhooks/deliveryRows.ts', 'where account_id = q.account_id and connection_id = q.connection_id'],
] as const;
/** Of statements that are for all accounts: what they do to each of them is asserted where they are tested. */
const ofAll = [
  ['src/connections/webhookSecrets.ts', 'join webhook_secrets s on s.account_id = c.account_id'],
  ['src/connections/webhookSecrets.ts', 'join account_keys k on k.account_id = c.account_id'],
  ['src/sync/rounds.ts', 'on s.account_id = due.account_id and s.connection_id = due.connection_id'],
  ['src/sync/rounds.ts', 'where r.account_id = due.account_id and r.connection_id = due.connection_id'],
  [
    'src/webhooks/deliveryRows.ts',
    'where q.account_id = due.account_id and q.connection_id = due.connection_id',
  ],
] as const;
/** Jobs are in no table of ours; that those of others stay is asserted in `test/ops/commands.test.ts`. */
const ofJobs = [
  ['src/ops/accountsErase.ts', 'return void (await sql`delete from ${table} where ${column} ='],
] as const;
const explained = [...joins, ...ofAll, ...ofJobs];

describe('without the second wall, an account', () => {
  let report: Report;
  beforeAll(async () => {
    const folder = new URL('../support/accountConditions/', import.meta.url);
    const path = (name: string) => fileURLToPath(new URL(name, folder));
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [...nodeFlags, '--import', path('tagSource.ts'), path('program.ts')],
      { env: { ...process.env, ...nodeSettings }, cwd: path('../../../'), maxBuffer: 10_000_000 },
    );
    report = JSON.parse(stdout) as Report;
  }, 240_000);

  it('is told and changed by each statement the same, whatever another account has', () => {
    expect(report.leaks).toEqual([]);
  });

  it('is named by conditions that all have been sent to the database', () => {
    expect(report.conditions.length).toBeGreaterThan(80);
    // One a line, so that a place tells them apart.
    expect(new Set(report.conditions.map((one) => one.place)).size).toBe(report.conditions.length);
    expect(report.conditions.filter((one) => !one.isReached).map((one) => one.place)).toEqual([]);
  });

  it('is told or changed something else by a statement without any single one of them', () => {
    const isExplained = ({ place, line }: Report['conditions'][number]) =>
      explained.some(([file, start]) => place.startsWith(`${file}:`) && line.startsWith(start));
    expect(report.conditions.filter((one) => !one.isNeeded && !isExplained(one))).toEqual([]);
    expect(report.conditions.filter(isExplained)).toHaveLength(explained.length);
  });
});
