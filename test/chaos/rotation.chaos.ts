import { describe, expect, it } from 'vitest';
import { rotateUnderLoad, type RotationResult } from '../support/rotation/rotation.ts';

describe('keys rotate while four services are at work', { timeout: 600_000 }, () => {
  const print = (accounts: number, { byMasterKey, ...result }: RotationResult) =>
    process.stdout.write(
      `${JSON.stringify({ accounts, ...result, byMasterKey: Object.fromEntries(byMasterKey) })}\n`,
    );

  it('10,000 data keys, by another master key', async () => {
    const accounts = 10_000;
    const result = await rotateUnderLoad({ accounts, data: false, killedAfter: [1, 2, 9], pauseMs: 3 });
    print(accounts, result);
    expect(result).toMatchObject({ failures: [], codes: [null, null, null, 0], stderr: '', wrong: 0 });
    expect(result.byMasterKey).toEqual(new Map([['k2', accounts + result.added]]));
    expect(result.opened).toBe(2 * (accounts + result.added));
  });

  it('10,000 values, by new data keys', async () => {
    const accounts = 5_000;
    const result = await rotateUnderLoad({ accounts, data: true, killedAfter: [3, 12, 15], pauseMs: 3 });
    print(accounts, result);
    expect(result).toMatchObject({ failures: [], codes: [null, null, null, 0], stderr: '', wrong: 0 });
    expect(result.sealedByOld).toBe(0);
    expect(result.opened).toBe(2 * (accounts + result.added));
  });
});
