import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createBackground } from '../src/background.ts';
import { systemClock } from '../src/clock.ts';

describe('work in the background', () => {
  it('lets everybody else have their turn while there is always more of it', async () => {
    let rounds = 0;
    // As the embedded database answers: without the event loop.
    const round = () => Promise.resolve(++rounds > 0);
    const background = createBackground(systemClock, 60_000, round, () => {});
    background.start();
    await sleep(50);
    await background.stop();
    const before = rounds;
    await sleep(20);
    expect(before).toBeGreaterThan(1);
    expect(rounds).toBe(before);
  });

  it('waits after what fails, says so, and goes on', async () => {
    const errors: unknown[] = [];
    let rounds = 0;
    const round = () => (++rounds === 1 ? Promise.reject(new Error('away')) : Promise.resolve(false));
    const background = createBackground(systemClock, 20, round, (error) => errors.push(error));
    background.start();
    await expect.poll(() => rounds).toBeGreaterThan(2);
    await background.stop();
    expect(errors).toEqual([new Error('away')]);
  });

  it('ends at once where it waits', async () => {
    const background = createBackground(
      systemClock,
      60_000,
      () => Promise.resolve(false),
      () => {},
    );
    background.start();
    await sleep(1);
    const startedAt = performance.now();
    await background.stop();
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });
});
