import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { migratedPostgresUrl } from '../support/databases.ts';
import { fuzz } from '../support/fuzz/fuzz.ts';

describe.each(['embedded', 'postgres'] as const)('ten thousand random documents, %s', (kind) => {
  let database: { url: string; drop(): Promise<void> } | undefined;
  beforeEach(async () => {
    database = kind === 'postgres' ? await migratedPostgresUrl() : undefined;
  });
  afterEach(() => database?.drop());

  it('are all answered, and with nothing that only we should know', { timeout: 1_800_000 }, async () => {
    const { faults, errorLines, ...report } = await fuzz({
      ...{
        documents: Number(process.env.FUZZ_DOCUMENTS ?? 10_000),
        seed: Number(process.env.FUZZ_SEED ?? 5),
      },
      ...(database && { databaseUrl: database.url }),
    });
    process.stdout.write(`${JSON.stringify({ kind, ...report })}\n`);
    expect(faults).toEqual([]);
    expect(errorLines).toEqual([]);
    expect(report.lived).toBe(true);
  });
});
