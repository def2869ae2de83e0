import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { openCore } from '../support/core.ts';
import { postgresDatabase } from '../support/databases.ts';

/** What time tells: whether an address exists. Noise is larger than a limit that would be worth a failure elsewhere. */
it('takes as long to refuse an unknown address as a wrong signature', { timeout: 600_000 }, async () => {
  const product = await openCore(postgresDatabase);
  const { username, password } = product.sandbox.myCarrierPackets;
  const { connection } = await product.connections.connect({
    ...{ accountId: 'acme', userId: null, integrationId: 'mycarrierpackets' },
    credentials: { username, password, webhookSecret: 'the-secret-of-this-connection' },
  });
  const body = Buffer.from('{"eventType":"carrier.updated","eventData":{}}');
  const headers = { 'content-type': 'application/json', 'mcp-signature': 'ab'.repeat(32) };
  const refuse = async (connectionId: string) => {
    const startedAt = performance.now();
    const { status } = await product.receiver.receive({
      ...{ integrationId: 'mycarrierpackets', connectionId, headers, body },
    });
    expect(status).toBe(401);
    return performance.now() - startedAt;
  };
  const times = { unknown: [] as number[], wrong: [] as number[] };
  for (let i = -500; i < 5_000; i++) {
    const order = i % 2 === 0 ? (['unknown', 'wrong'] as const) : (['wrong', 'unknown'] as const);
    for (const which of order) {
      const took = await refuse(which === 'wrong' ? connection!.id : randomUUID());
      if (i >= 0) times[which].push(took);
    }
  }
  /** Of the middle nine tenths. */
  const mean = (all: number[]) => {
    const middle = all.toSorted((a, b) => a - b).slice(all.length * 0.05, all.length * 0.95);
    return middle.reduce((sum, one) => sum + one, 0) / middle.length;
  };
  const [unknownMs, wrongMs] = [mean(times.unknown), mean(times.wrong)];
  process.stdout.write(
    `${JSON.stringify({ tries: 5_000, unknownMs, wrongMs, ratio: wrongMs / unknownMs })}\n`,
  );
  expect(wrongMs / unknownMs).toBeLessThan(1.5);
  await product.close();
});
