import { describe, expect, it } from 'vitest';
import { followedQuickBooks } from '../support/soak/quickbooks.ts';
import { followedSlack } from '../support/soak/slack.ts';
import { soak } from '../support/soak/soak.ts';

describe('two processes that follow a workspace and a company through faults', () => {
  it(
    'end with their data, have counted what no webhook told, and told everything once',
    {
      timeout: 300_000,
    },
    async () => {
      const report = await soak({
        followed: [followedSlack(), followedQuickBooks()],
        ...{ seed: 7, durationMs: 60_000, happenings: 90, everyMs: 50, settleMs: 120_000 },
        ...{ rateLimits: false, pollIntervalSeconds: 3, kills: true },
      });
      expect(report).toMatchObject({
        ...{ wrong: [], gaps: 0, doubleEvents: 0, deadDeliveries: 0, throttled: 0, bugs: [] },
        missedByWebhook: report.lost,
      });
      for (const lost of Object.values(report.lost)) expect(lost).toBeGreaterThan(2);
      expect(report.kills).toBeGreaterThan(0);
    },
  );
});
