import { expect, it } from 'vitest';
import { sequence } from '../support/sequence.ts';
import { webhookChaos } from '../support/webhookChaos.ts';

/** The short form of test/chaos/webhooks.chaos.ts. */
it('loses and doubles nothing when one of two processes is killed', { timeout: 180_000 }, async () => {
  const result = await webhookChaos({
    ...{ kind: 'postgres', processes: 2, deliveries: 300, kills: 1, restart: false },
    random: sequence(7),
  });
  expect(result.acknowledged).toBeGreaterThan(250);
  expect(result).toMatchObject({
    ...{ kills: 1, lost: 0, doubled: 0, unfinished: 0, forged: 0, dead: 0, wrongRecords: 0, wrongEvents: 0 },
  });
});
