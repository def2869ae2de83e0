import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { bearer } from '../subscriptions/support.ts';
import type { Bench } from './benchmark.ts';
import { forkNode } from './process.ts';
import { median } from './report.ts';
import { sharedNow, type Memory, type Way } from './subscriptionProtocol.ts';

const entry = fileURLToPath(new URL('subscriptionServer.ts', import.meta.url));
const query = 'subscription { syncEvents { id cursor kind connection { id status } } }';
const rounds = 15;
const warmUp = 3;
const ways = ['raw ws', 'graphql-ws', 'ours'] as const satisfies Way[];

export const subscriptions: Bench = {
  name: 'subscriptions',
  title: 'one event to many WebSockets of one process',
  usesDatabase: true,
  async run({ report, databaseUrl, sockets }) {
    const sides = new Map<Way, Side>();
    try {
      for (const way of ways) sides.set(way, await openSide(way, databaseUrl, sockets));
      const times = new Map<Way, Timing[]>(ways.map((way) => [way, []]));
      for (let round = -warmUp; round < rounds; round++)
        for (const way of ways) {
          const timing = await sides.get(way)!.deliver();
          if (round >= 0) times.get(way)!.push(timing);
        }
      const of = (way: Way, pick: (timing: Timing) => number) => median(times.get(way)!.map(pick));
      const last = (way: Way) => of(way, ({ lastMs }) => lastMs);
      const side = (way: Way) => sides.get(way)!;
      const many = `${sockets} sockets`;
      const own = { unit: 'ms', value: last('ours') };
      report({
        metric: `last delivery, ${many}`,
        ...own,
        reference: { name: 'raw ws', value: last('raw ws') },
      });
      report({
        metric: `last delivery, ${many}`,
        ...own,
        reference: { name: 'graphql-ws', value: last('graphql-ws') },
      });
      report({
        metric: 'last delivery, in times of raw ws',
        ...{ value: last('ours') / last('raw ws'), unit: 'x', goal: { atMost: 1.6 } },
      });
      report({
        metric: 'last delivery, with the commit',
        ...{ value: of('ours', ({ withCommitMs }) => withCommitMs), unit: 'ms' },
        reference: { name: 'raw ws', value: last('raw ws') },
      });
      for (const [metric, kind, atMost] of [
        ['heap a socket', 'heapBytes', 12],
        ['RSS a socket', 'rssBytes', 30],
      ] as const) {
        const value = side('ours')[kind] / 1_024;
        for (const name of ['raw ws', 'graphql-ws'] as const)
          report({
            ...{ metric, value, unit: 'KiB', goal: { atMost } },
            reference: { name, value: side(name)[kind] / 1_024 },
          });
      }
      report({
        metric: 'executions an event',
        ...{ value: of('ours', ({ executions }) => executions), unit: '', goal: { equal: 1 } },
        reference: { name: 'graphql-ws', value: sockets },
      });
    } finally {
      for (const side of sides.values()) side.close();
    }
  },
};

interface Timing {
  /** From the moment that it was told, or committed, to the last socket's message. */
  lastMs: number;
  withCommitMs: number;
  executions: number;
}

interface Side extends Memory {
  deliver(): Promise<Timing>;
  close(): void;
}

/** With all sockets subscribed; the memory is that of one of them. */
async function openSide(way: Way, databaseUrl: string, count: number): Promise<Side> {
  const child = forkNode(entry, [way, databaseUrl]);
  const ask = async <T>(message: string): Promise<T> => {
    const answer = once(child, 'message');
    child.send(message);
    return ((await answer) as [T])[0];
  };
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const authorization = await bearer('acme');
  let arrived = 0;
  let done = () => {};
  const open = async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws', {
      perMessageDeflate: false,
    });
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }));
    await once(socket, 'message');
    socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query } }));
    socket.on('message', () => {
      if (++arrived === count) done();
    });
    return socket;
  };
  // What is there for the first is there for all.
  const all = [...(await inTurns(20, open))];
  await settled();
  const before = await ask<Memory>('memory');
  all.push(...(await inTurns(count - all.length, open)));
  await settled();
  const after = await ask<Memory>('memory');
  const added = count - 20;
  return {
    heapBytes: (after.heapBytes - before.heapBytes) / added,
    rssBytes: (after.rssBytes - before.rssBytes) / added,
    async deliver() {
      arrived = 0;
      const last = new Promise<number>((resolve) => {
        done = () => resolve(sharedNow());
      });
      const { beganAt, toldAt } = await ask<{ beganAt: number; toldAt: number }>('emit');
      const lastAt = await last;
      const { executions } = await ask<{ executions: number | null }>('executions');
      await new Promise((resolve) => setTimeout(resolve, 50));
      const from = way === 'ours' ? toldAt : beganAt;
      return { lastMs: lastAt - from, withCommitMs: lastAt - beganAt, executions: executions ?? 0 };
    },
    close() {
      for (const socket of all) socket.terminate();
      child.kill('SIGKILL');
    },
  };
}

async function inTurns<T>(count: number, open: () => Promise<T>): Promise<T[]> {
  const opened: T[] = [];
  while (opened.length < count)
    opened.push(...(await Promise.all(Array.from({ length: Math.min(50, count - opened.length) }, open))));
  return opened;
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 1_000));
