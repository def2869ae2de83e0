import { describe, expect, it } from 'vitest';
import { soak } from '../support/soak.ts';

describe('two processes that follow a workspace through faults', () => {
  it(
    'end with its data, have counted what no webhook told, and told everything once',
    { timeout: 180_000 },
    async () => {
      const report = await soak({
        ...{ seed: 7, durationMs: 20_000, everyMs: 120, rateLimits: false, pollIntervalSeconds: 2 },
      });
      expect(report).toMatchObject({ wrong: [], gaps: 0, doubleEvents: 0, deadDeliveries: 0, throttled: 0 });
      expect(report.missedByWebhook).toBe(report.lost);
      expect(report.lost).toBeGreaterThan(5);
      expect(report.kills).toBeGreaterThan(0);
    },
  );
});
