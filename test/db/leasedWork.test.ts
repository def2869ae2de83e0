import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createLeasedWork } from '../../src/db/leasedWork.ts';

interface Row {
  lease: string;
}

/** Rows that are due, worked on until each is ended by name. */
function rows(due: string[], { concurrency = 2, lookEveryMs = 60_000, renewEveryMs = 60_000 } = {}) {
  const asked: number[] = [];
  const renewed: string[][] = [];
  const errors: { error: unknown; during: string; lease?: string | undefined }[] = [];
  const ends = new Map<string, PromiseWithResolvers<void>>();
  const faults: Error[] = [];
  const renewalFaults: Error[] = [];
  const held: Promise<void>[] = [];
  const work = createLeasedWork<Row>(systemClock, {
    ...{ concurrency, lookEveryMs, renewEveryMs },
    async claim(count) {
      asked.push(count);
      const fault = faults.shift();
      if (fault) throw fault;
      const claimed = due.splice(0, count).map((lease) => ({ lease }));
      await held.shift();
      return claimed;
    },
    async renew(leases) {
      renewed.push([...leases]);
      const fault = renewalFaults.shift();
      if (fault) throw fault;
    },
    work({ lease }) {
      const end = Promise.withResolvers<void>();
      ends.set(lease, end);
      return end.promise;
    },
    onError: (error, during, row) => errors.push({ error, during, lease: row?.lease }),
  });
  return { work, due, asked, renewed, errors, ends, faults, renewalFaults, held };
}

describe('work that lies in rows', () => {
  it('is taken up to the room there is, and where there is none nobody is asked', async () => {
    const { work, asked, ends } = rows(['a', 'b', 'c'], { lookEveryMs: 5 });
    work.start();
    await expect.poll(() => [...ends.keys()]).toEqual(['a', 'b']);
    await sleep(40);
    expect(asked).toEqual([2]);
    ends.get('a')!.resolve();
    await expect.poll(() => [...ends.keys()]).toEqual(['a', 'b', 'c']);
    expect(asked).toEqual([2, 1]);
    for (const end of ends.values()) end.resolve();
    await work.stop();
  });

  it('is looked for at once when there is news, and when the line for news is up', async () => {
    const { work, due, ends } = rows([]);
    work.start();
    await sleep(5);
    due.push('a');
    work.news.notified('');
    await expect.poll(() => ends.has('a')).toBe(true);
    due.push('b');
    work.news.connected!();
    await expect.poll(() => ends.has('b')).toBe(true);
    for (const end of ends.values()) end.resolve();
    await work.stop();
  });

  it('is found without news, too', async () => {
    const { work, due, ends } = rows([], { lookEveryMs: 20 });
    work.start();
    await sleep(5);
    due.push('a');
    await expect.poll(() => ends.has('a')).toBe(true);
    ends.get('a')!.resolve();
    await work.stop();
  });

  it('stays leased until it ends, while the process stops as well', async () => {
    const { work, renewed, ends } = rows(['a', 'b'], { renewEveryMs: 10 });
    work.start();
    await expect.poll(() => renewed.at(-1)).toEqual(['a', 'b']);
    ends.get('b')!.resolve();
    let isStopped = false;
    const stopped = work.stop().then(() => (isStopped = true));
    await expect.poll(() => renewed.at(-1)).toEqual(['a']);
    const before = renewed.length;
    await expect.poll(() => renewed.length).toBeGreaterThan(before);
    expect(isStopped).toBe(false);
    ends.get('a')!.resolve();
    await stopped;
    const after = renewed.length;
    await sleep(40);
    expect(renewed.length).toBe(after);
  });

  it('is taken no more once it stops', async () => {
    const { work, due, asked, ends } = rows(['a']);
    work.start();
    await expect.poll(() => ends.has('a')).toBe(true);
    const stopped = work.stop();
    due.push('b');
    ends.get('a')!.resolve();
    work.news.notified('');
    await stopped;
    expect(due).toEqual(['b']);
    expect(asked).toEqual([2]);
  });

  it('goes on after what fails, which is told with its row', async () => {
    const { work, errors, ends, faults, due } = rows([], { concurrency: 1, lookEveryMs: 20 });
    const [away, broken] = [new Error('away'), new Error('broken')];
    faults.push(away);
    work.start();
    due.push('a', 'b');
    await expect.poll(() => ends.has('a')).toBe(true);
    expect(errors).toEqual([{ error: away, during: 'claim', lease: undefined }]);
    ends.get('a')!.reject(broken);
    await expect.poll(() => ends.has('b')).toBe(true);
    expect(errors[1]).toEqual({ error: broken, during: 'work', lease: 'a' });
    ends.get('b')!.resolve();
    await work.stop();
  });

  it('is renewed again after a renewal that fails', async () => {
    const { work, errors, ends, renewed, renewalFaults } = rows(['a'], { renewEveryMs: 10 });
    const away = new Error('away');
    renewalFaults.push(away);
    work.start();
    await expect.poll(() => renewed.length).toBeGreaterThan(1);
    expect(errors).toEqual([{ error: away, during: 'renew', lease: undefined }]);
    ends.get('a')!.resolve();
    await work.stop();
  });

  it('is looked for once more where news comes during a look', async () => {
    const { work, due, asked, ends, held } = rows([]);
    const look = Promise.withResolvers<void>();
    held.push(look.promise);
    work.start();
    await expect.poll(() => asked.length).toBe(1);
    due.push('a');
    work.news.notified('');
    look.resolve();
    await expect.poll(() => ends.has('a')).toBe(true);
    ends.get('a')!.resolve();
    await work.stop();
  });

  it('ends at once where there is none', async () => {
    const { work } = rows([]);
    work.start();
    await sleep(5);
    const startedAt = performance.now();
    await work.stop();
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  it('is worked on to its end although it was claimed while the process stops', async () => {
    const { work, asked, ends, held } = rows(['a']);
    const look = Promise.withResolvers<void>();
    held.push(look.promise);
    work.start();
    await expect.poll(() => asked.length).toBe(1);
    let isStopped = false;
    const stopped = work.stop().then(() => (isStopped = true));
    look.resolve();
    await expect.poll(() => ends.has('a')).toBe(true);
    await sleep(10);
    expect(isStopped).toBe(false);
    ends.get('a')!.resolve();
    await stopped;
  });
});
