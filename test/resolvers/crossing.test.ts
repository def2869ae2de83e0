import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCore, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { crossTenants } from '../support/fuzz/tenants.ts';

describe.each(databaseKinds)('five hundred random operations of five accounts, %s', (_kind, open) => {
  let product: TestCore;
  beforeAll(async () => {
    product = await openCore(open);
  });
  afterAll(() => product?.close());

  it(
    'cannot tell what is another account’s from what never was, change it, or see any of it',
    { timeout: 180_000 },
    async () => {
      const { told, changed, crossed, ...report } = await crossTenants(product, {
        ...{ operations: 500, seed: 11 },
      });
      expect(crossed).toEqual([]);
      expect(told).toEqual([]);
      expect(changed).toEqual([]);
      expect(Object.keys(report.asked)).toHaveLength(7);
      expect(report.own).toBeGreaterThan(10);
    },
  );
});
