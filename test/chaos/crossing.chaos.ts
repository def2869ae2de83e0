import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCore, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { crossTenants } from '../support/fuzz/tenants.ts';

describe.each(databaseKinds)('ten thousand random operations of five accounts, %s', (kind, open) => {
  let product: TestCore;
  beforeAll(async () => {
    product = await openCore(open);
  });
  afterAll(() => product?.close());

  it(
    'cannot tell what is another account’s from what never was, change it, or see any of it',
    { timeout: 1_800_000 },
    async () => {
      const startedAt = Date.now();
      const { told, changed, crossed, ...report } = await crossTenants(product, {
        operations: 10_000,
        seed: 12,
      });
      const seconds = Math.round((Date.now() - startedAt) / 1_000);
      process.stdout.write(
        `${JSON.stringify({ kind, seconds, ...report, told: told.length, crossed: crossed.length })}\n`,
      );
      expect(crossed).toEqual([]);
      expect(told).toEqual([]);
      expect(changed).toEqual([]);
      expect(report.own).toBeGreaterThan(200);
    },
  );
});
