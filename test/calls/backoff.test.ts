import { describe, expect, it } from 'vitest';
import { backoffMs, createRetryBudget } from '../../src/calls/backoff.ts';
import { manualClock } from '../support/manualClock.ts';

const policy = { baseMs: 1_000, capMs: 60_000, attempts: 5 };

function spendAll(budget: ReturnType<typeof createRetryBudget>): number {
  let spent = 0;
  while (budget.spend()) spent++;
  return spent;
}

describe('backoffMs', () => {
  it.each([
    [1, 1, 1_000],
    [2, 1, 2_000],
    [3, 0.5, 2_000],
    [6, 1, 32_000],
    [7, 1, 60_000],
    [1_000, 1, 60_000],
    [1, 0, 0],
  ])('after %i failures and a draw of %d is %i ms', (failed, random, expected) => {
    expect(backoffMs(failed, policy, random)).toBe(expected);
  });
});

describe('the retry budget', () => {
  it('lets a fifth of the calls retry', () => {
    const budget = createRetryBudget(manualClock());
    let spent = 0;
    for (let call = 0; call < 1_000; call++) {
      budget.earn();
      for (let retry = 0; retry < 4; retry++) if (budget.spend()) spent++;
    }
    expect(spent).toBe(200);
  });

  it('lets a quiet integration retry ten times, and again a minute later', async () => {
    const clock = manualClock();
    const budget = createRetryBudget(clock);
    const spend = () => spendAll(budget);
    expect(spend()).toBe(10);
    await clock.advance(10_000);
    expect(spend()).toBeLessThanOrEqual(2);
    await clock.advance(3_600_000);
    expect(spend()).toBe(10);
  });

  it('counts the calls of about the last minute, and forgets older ones', async () => {
    const clock = manualClock();
    const budget = createRetryBudget(clock);
    const spend = () => spendAll(budget);
    await clock.advance(3_600_000);
    for (let call = 0; call < 100; call++) budget.earn();
    expect(spend()).toBe(20);
    // A third is left of the calls, and of the retries.
    for (let call = 0; call < 900; call++) budget.earn();
    await clock.advance(66_000);
    expect(spend()).toBeGreaterThan(50);
    await clock.advance(3_600_000);
    expect(spend()).toBe(10);
  });
});

describe('1,000 clients that an outage stopped at one time', () => {
  it.each([1, 2, 3, 4])(
    'come back spread after failure %i: no tenth of a second sees three times the mean',
    (failed) => {
      const clock = manualClock();
      const tenths = new Map<number, number>();
      for (let client = 0; client < 1_000; client++) {
        const tenth = Math.floor(backoffMs(failed, policy, clock.random()) / 100);
        tenths.set(tenth, (tenths.get(tenth) ?? 0) + 1);
      }
      const mean = 1_000 / ((policy.baseMs * 2 ** (failed - 1)) / 100);
      expect(Math.max(...tenths.values())).toBeLessThanOrEqual(3 * mean);
    },
  );
});
