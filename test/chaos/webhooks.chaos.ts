import { describe, expect, it } from 'vitest';
import { sequence } from '../support/sequence.ts';
import { webhookChaos } from '../support/webhookChaos.ts';

const deliveries = Number(process.env.DELIVERIES ?? 20_000);

describe.each([
  { kind: 'postgres', processes: 2, kills: 20, restart: true },
  { kind: 'embedded', processes: 1, kills: 20, restart: false },
] as const)('$processes processes on $kind, killed $kills times', (run) => {
  it('apply once whatever they acknowledged', { timeout: 1_800_000 }, async () => {
    const result = await webhookChaos({ ...run, deliveries, random: sequence(20_261_123) });
    process.stdout.write(`${JSON.stringify({ ...run, deliveries, ...result })}\n`);
    expect(result.acknowledged).toBeGreaterThan(deliveries * 0.9);
    expect(result).toMatchObject({
      ...{ kills: run.kills, lost: 0, doubled: 0, unfinished: 0, forged: 0, dead: 0 },
      ...{ wrongRecords: 0, wrongEvents: 0 },
    });
  });
});
