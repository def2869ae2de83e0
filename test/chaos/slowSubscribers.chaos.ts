import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migratedPostgresUrl } from '../support/databases.ts';
import { slowSubscribers } from '../support/sockets/slow.ts';

describe('a hundred subscribers that do not read, of eleven hundred', () => {
  const databases: { url: string; drop(): Promise<void> }[] = [];
  beforeAll(async () => {
    databases.push(await migratedPostgresUrl(), await migratedPostgresUrl());
  });
  afterAll(() => Promise.all(databases.map((one) => one.drop())));

  it(
    'cost the server no more memory than if they did, and the others no time',
    { timeout: 1_800_000 },
    async () => {
      const [one, other] = databases.map(({ url }) => url);
      const report = await slowSubscribers([one!, other!], {
        ...{ quick: Number(process.env.QUICK ?? 1_000), slow: 100, batches: 60, batch: 20 },
      });
      process.stdout.write(`${JSON.stringify(report)}\n`);
      expect(report.lost).toBe(0);
      expect(report.grownMiB.resident).toBeLessThanOrEqual(8);
      // Something waited: they did fill the buffers before them.
      expect(report.mostBufferedKiB).toBeGreaterThan(0);
      expect(report.mostBufferedKiB).toBeLessThanOrEqual(1_024);
      expect(report.p99Ms[1]).toBeLessThanOrEqual(report.p99Ms[0] * 1.2);
      expect(Object.keys(report.closes).filter((close) => !/^(4429 Too slow|1006)/.test(close))).toEqual([]);
    },
  );
});
