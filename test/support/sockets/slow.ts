/**
 * What subscribers that do not read cost: two servers in processes of their own, each with as many that read, and with
 * some beside that ask for large answers. Those of the first read them, those of the second do not. Both are told the
 * same events, in turns.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { forkNode } from '../../bench/process.ts';
import type { Followers } from './followers.ts';

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const quickQuery = 'subscription { syncEvents { id cursor kind } }';
/** Answers of some 15 KB: they fill the buffers of the kernel early. */
const largeQuery = `subscription { syncEvents { id cursor ${Array.from({ length: 300 }, (_, i) => `m${i}: id`).join(' ')} } }`;

export interface SlowReport {
  /** Of events to the many: where all others read, and where they do not. */
  p99Ms: [besideReaders: number, besideSlow: number];
  /** How much more the second server has grown than the first. */
  grownMiB: { resident: number; heap: number };
  /** The most that waited in one socket of the server. */
  mostBufferedKiB: number;
  /** Of those who read: events that did not come, or came twice. */
  lost: number;
  /** How the slow ones ended, once they read again. */
  closes: Record<string, number>;
}

interface Side {
  server: ChildProcess;
  said: Open;
  quick: ChildProcess;
  delays: number[];
  lost: number;
}

type Open = Pick<Followers, 'port' | 'authorization'>;

interface Figures {
  heapBytes: number;
  rssBytes: number;
  mostBuffered: number;
  readers: number;
}

export async function slowSubscribers(
  databaseUrls: readonly [string, string],
  options: { quick: number; slow: number; batches: number; batch: number },
): Promise<SlowReport> {
  const children: ChildProcess[] = [];
  const ask = async <T>(child: ChildProcess, message: string | number): Promise<T> => {
    const answer = once(child, 'message');
    child.send(message);
    return ((await answer) as [T])[0];
  };
  const start = async <T>(name: string, args: string[]): Promise<{ child: ChildProcess; said: T }> => {
    const child = forkNode(file(name), args);
    children.push(child);
    const [said] = (await once(child, 'message')) as [T];
    return { child, said };
  };
  const follow = async (said: Open, of: Pick<Followers, 'count' | 'query' | 'paused'>) =>
    (await start('followers.ts', [JSON.stringify({ ...said, ...of })])).child;
  const untilReaders = async (server: ChildProcess, count: number) => {
    while ((await ask<Figures>(server, 'memory')).readers !== count);
  };
  try {
    const sides: Side[] = [];
    for (const url of databaseUrls) {
      const { child: server, said } = await start<Open>('slowServer.ts', [url]);
      const quick = await follow(said, { count: options.quick, query: quickQuery, paused: false });
      await untilReaders(server, options.quick);
      sides.push({ server, said, quick, delays: [] as number[], lost: 0 });
    }
    const [reading, slow] = sides as [Side, Side];
    const tell = async (side: Side, batch: number, isMeasured: boolean) => {
      const { ids, at } = await ask<{ ids: string[]; at: number }>(side.server, batch);
      const wanted = new Set(ids);
      let left = batch * options.quick;
      const giveUpAt = Date.now() + 60_000;
      while (left > 0 && Date.now() < giveUpAt) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        const { arrivals } = await ask<{ arrivals: [string, number][] }>(side.quick, 'arrivals');
        for (const [id, arrivedAt] of arrivals) {
          left -= Number(wanted.has(id));
          if (isMeasured) side.delays.push(arrivedAt - at);
        }
      }
      side.lost += Math.abs(left);
    };
    // Both grow to what they need for this many events.
    for (let i = 0; i < 10; i++) for (const side of sides) await tell(side, options.batch, false);
    const before = [await ask<Figures>(reading.server, 'memory'), await ask<Figures>(slow.server, 'memory')];
    const large = { count: options.slow, query: largeQuery };
    await follow(reading.said, { ...large, paused: false });
    const paused = await follow(slow.said, { ...large, paused: true });
    for (const { server } of sides) await untilReaders(server, options.quick + options.slow);
    for (let i = 0; i < options.batches; i++) for (const side of sides) await tell(side, options.batch, true);
    const after = [await ask<Figures>(reading.server, 'memory'), await ask<Figures>(slow.server, 'memory')];
    await untilReaders(slow.server, options.quick);
    await ask(paused, 'resume');
    let closes: Record<string, number> = {};
    const ended = () => Object.values(closes).reduce((sum, count) => sum + count, 0);
    while (ended() < options.slow) {
      ({ closes } = await ask<{ closes: Record<string, number> }>(paused, 'resume'));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const grown = (name: 'rssBytes' | 'heapBytes') =>
      (after[1]![name] - before[1]![name] - (after[0]![name] - before[0]![name])) / 2 ** 20;
    const p99 = ({ delays }: Side) => delays.toSorted((a, b) => a - b)[Math.floor(delays.length * 0.99)]!;
    return {
      p99Ms: [p99(reading), p99(slow)],
      grownMiB: { resident: grown('rssBytes'), heap: grown('heapBytes') },
      mostBufferedKiB: after[1]!.mostBuffered / 1_024,
      lost: reading.lost + slow.lost,
      closes,
    };
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}
