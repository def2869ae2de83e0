import { expect, it } from 'vitest';
import { manualClock } from './manualClock.ts';

it('stands still until it is moved', async () => {
  const clock = manualClock(1000);
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect([clock.now(), clock.monotonic()]).toEqual([1000, 0]);
});

it('wakes sleepers in the order in which they are due, each at its own time', async () => {
  const clock = manualClock(0);
  const woken: [string, number][] = [];
  const nap = async (name: string, ms: number) => {
    await clock.sleep(ms);
    woken.push([name, clock.now()]);
  };
  void nap('late', 300);
  void nap('early', 100).then(() => nap('chained', 50));
  void nap('never', 5000);
  await clock.advance(400);
  expect(woken).toEqual([
    ['early', 100],
    ['chained', 150],
    ['late', 300],
  ]);
  expect([clock.now(), clock.sleeping()]).toEqual([400, 1]);
});

it('steps the wall clock without waking anybody', async () => {
  const clock = manualClock(0);
  let woke = false;
  void clock.sleep(100).then(() => (woke = true));
  clock.setNow(1_000_000);
  await clock.advance(99);
  expect([woke, clock.now(), clock.monotonic()]).toEqual([false, 1_000_099, 99]);
});

it('rejects a sleep with the reason of its signal', async () => {
  const clock = manualClock(0);
  const controller = new AbortController();
  const sleep = clock.sleep(100, controller.signal);
  controller.abort(new Error('enough'));
  await expect(sleep).rejects.toThrow('enough');
  expect(clock.sleeping()).toBe(0);
});
