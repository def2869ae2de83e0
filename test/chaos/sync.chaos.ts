import { describe, expect, it } from 'vitest';
import { soak } from '../support/soak.ts';

const minutes = Number(process.env.SOAK_MINUTES ?? 30);

describe('two processes that follow a workspace through faults', () => {
  it('end with its data within its limits', { timeout: (minutes + 15) * 60_000 }, async () => {
    const report = await soak({
      ...{ seed: 20_261_123, durationMs: minutes * 60_000, everyMs: 1_500 },
      ...{ rateLimits: true, pollIntervalSeconds: 10 },
      log: (line) => process.stdout.write(`${JSON.stringify(line)}\n`),
    });
    process.stdout.write(`${JSON.stringify({ minutes, ...report })}\n`);
    expect(report).toMatchObject({ wrong: [], gaps: 0, doubleEvents: 0, deadDeliveries: 0, throttled: 0 });
    expect(report.missedByWebhook).toBe(report.lost);
  });
});
