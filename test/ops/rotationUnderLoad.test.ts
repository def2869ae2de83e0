import { describe, expect, it } from 'vitest';
import { rotateUnderLoad } from '../support/rotation/rotation.ts';

/** The short form of test/chaos/rotation.chaos.ts. */
describe('keys rotate', { timeout: 90_000 }, () => {
  it('seals every data key by the new master key, while nobody fails to open or loses a write', async () => {
    const accounts = 2_000;
    const result = await rotateUnderLoad({ accounts, data: false, killedAfter: [1, 2, 3], pauseMs: 20 });
    expect(result).toMatchObject({ failures: [], codes: [null, null, null, 0], stderr: '', wrong: 0 });
    expect(Math.min(result.reads, result.writes, result.added)).toBeGreaterThan(0);
    expect(result.byMasterKey).toEqual(new Map([['k2', accounts + result.added]]));
    expect(result.opened).toBe(2 * (accounts + result.added));
  });

  it('seals every value by a new data key, while nobody fails to open or loses a write', async () => {
    const accounts = 900;
    const result = await rotateUnderLoad({ accounts, data: true, killedAfter: [2, 5, 8], pauseMs: 20 });
    expect(result).toMatchObject({ failures: [], codes: [null, null, null, 0], stderr: '', wrong: 0 });
    expect(Math.min(result.reads, result.writes, result.added)).toBeGreaterThan(0);
    expect(result.sealedByOld).toBe(0);
    expect(result.opened).toBe(2 * (accounts + result.added));
  });
});
