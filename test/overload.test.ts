import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { migratedPostgresUrl } from './support/databases.ts';
import { overload } from './support/overload.ts';

/** Whole processes on one PostgreSQL, ten times more queries than the provider lets through; see test/chaos for the long run. */
describe('three processes at ten times the limit', () => {
  let database: { url: string; drop(): Promise<void> };
  beforeEach(async () => {
    database = await migratedPostgresUrl();
  });
  afterEach(() => database.drop());

  it('never exceed it and go on using it, also when one is killed', { timeout: 90_000 }, async () => {
    const result = await overload(database.url, {
      limit: 10,
      seconds: 14,
      processes: 3,
      times: 10,
      kill: true,
      forgiving: true,
    });
    expect(result).toMatchObject({ windowsOver: 0, throttled: 0 });
    expect(result.worstWindow).toBeLessThanOrEqual(10);
    // How much is used depends on how busy this machine is; the long run judges that, and windows of a whole second.
    expect(result.use).toBeGreaterThan(0.5);
    expect(result.useAfterKill).toBeGreaterThan(0.5);
    expect(result.refused).not.toHaveProperty('INTERNAL_SERVER_ERROR');
  });
});
