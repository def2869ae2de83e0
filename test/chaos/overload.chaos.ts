import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { migratedPostgresUrl } from '../support/databases.ts';
import { overload } from '../support/overload.ts';

describe.each([
  { limit: 10, processes: 4, kill: false, least: 0.95 },
  { limit: 10, processes: 4, kill: true, least: 0.9 },
  { limit: 20, processes: 3, kill: true, least: 0.9 },
])('$processes processes at ten times $limit a second for a minute, kill: $kill', (run) => {
  let database: { url: string; drop(): Promise<void> };
  beforeEach(async () => {
    database = await migratedPostgresUrl();
  });
  afterEach(() => database.drop());

  it('never exceed the limit and use it', { timeout: 180_000 }, async () => {
    const result = await overload(database.url, { ...run, seconds: 60, times: 10 });
    process.stdout.write(`${JSON.stringify({ ...run, ...result })}\n`);
    expect(result).toMatchObject({ windowsOver: 0, throttled: 0 });
    expect(result.use).toBeGreaterThanOrEqual(run.least);
    expect(run.kill ? result.useAfterKill : 1).toBeGreaterThanOrEqual(0.9);
  });
});
