import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { usualLimits } from '../../src/guard/limits.ts';
import { databaseKinds, postgresDatabase } from '../support/databases.ts';
import {
  everything,
  idsOf,
  openEdge,
  until,
  type Edge,
  type Listening,
  type TestAccount,
} from './support.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
/** What is garbage already says nothing: how much of it there is depends on how busy the machine is. */
const keptBytes = () => {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe.each(databaseKinds)('a subscriber, %s', (_kind, open) => {
  let edge: Edge;
  let acme: TestAccount;
  beforeAll(async () => {
    edge = await openEdge(open);
    acme = await edge.account('acme');
  });
  afterAll(() => edge?.close());

  it('that is cut off a hundred times or more misses nothing and is given nothing twice', async () => {
    const history = await edge.product.query('{ connections { events(first: 100) { nodes { cursor } } } }');
    const { nodes } = (history.data as any).connections[0].events; // oxlint-disable-line typescript/no-explicit-any -- an answer
    let cursor = (nodes as { cursor: string }[]).at(-1)!.cursor;
    let writing = true;
    const written: string[] = [];
    const writer = (async () => {
      while (writing) {
        written.push(...(await acme.append('SYNC_PROGRESSED', 1 + Math.floor(Math.random() * 3))));
        await pause(2);
      }
    })();
    const seen: string[] = [];
    for (let cuts = 0, last = false; !last; cuts++) {
      // On a busy machine the writer may be behind the cuts: they go on until it has written as much.
      last = cuts >= 100 && written.length > 100;
      const sockets: WebSocket[] = [];
      class Noted extends WebSocket {
        constructor(url: string, protocol: string) {
          super(url, protocol);
          sockets.push(this);
        }
      }
      const client = edge.client(acme.authorization, { webSocketImpl: Noted });
      const received: { id: string; cursor: string }[] = [];
      let cutNow = false;
      const over = new Promise<void>((resolve) => {
        client.subscribe(
          { query: everything, variables: { after: cursor } },
          {
            next({ data }) {
              // What comes after the cut was never seen.
              if (!cutNow) received.push(data!.syncEvents as { id: string; cursor: string });
            },
            error: () => resolve(),
            complete: () => resolve(),
          },
        );
      });
      if (!last) {
        await pause(Math.random() * 30);
      } else {
        writing = false;
        await writer;
        await until(() => seen.length + received.length >= written.length);
      }
      cutNow = true;
      sockets[0]!.terminate();
      await over;
      seen.push(...received.map(({ id }) => id));
      cursor = received.at(-1)?.cursor ?? cursor;
    }
    expect(seen).toEqual(written);
    await edge.readers(0);
  });
});

describe('slow subscribers', () => {
  let edge: Edge;
  let acme: TestAccount;
  beforeAll(async () => {
    edge = await openEdge(postgresDatabase, { limits: { ...usualLimits, aliases: 300 } });
    acme = await edge.account('acme');
  });
  afterAll(() => edge?.close());

  /** Answers of some 15 KB: they fill the buffers of the kernel early. */
  const large = `subscription ($after: String) { syncEvents(after: $after) { id cursor ${Array.from({ length: 300 }, (_, i) => `m${i}: id`).join(' ')} } }`;

  /** Has subscribed, and reads no more. */
  const openPaused = async () => {
    const socket = new WebSocket(edge.wsUrl, 'graphql-transport-ws', { perMessageDeflate: false });
    await once(socket, 'open');
    const payload = { authorization: acme.authorization };
    socket.send(JSON.stringify({ type: 'connection_init', payload }));
    await once(socket, 'message');
    socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: large } }));
    socket.pause();
    const cursors: string[] = [];
    socket.on('message', (message: Buffer) => {
      const { type, payload: result } = JSON.parse(message.toString()) as {
        type: string;
        payload?: { data: { syncEvents: { cursor: string } } };
      };
      if (type === 'next') cursors.push(result!.data.syncEvents.cursor);
    });
    return { socket, cursors };
  };

  it('a hundred of them cost little memory, delay nobody, and are told where to go on', async () => {
    const slow = await Promise.all(Array.from({ length: 100 }, openPaused));
    const quick: Listening[] = Array.from({ length: 20 }, () => edge.listen(acme.authorization, everything));
    await edge.readers(120);
    const before = keptBytes();
    const ids: string[] = [];
    const delays: number[] = [];
    for (let batch = 0; batch < 20; batch++) {
      const startedAt = performance.now();
      ids.push(...(await acme.append('SYNC_PROGRESSED', 50)));
      await Promise.all(quick.map((listening) => listening.until(ids.length)));
      delays.push(performance.now() - startedAt);
    }
    for (const listening of quick) expect(idsOf(listening.received)).toEqual(ids);
    // 100 clients x 1,000 events x 15 KB would be 1,500 MB; the kernel's buffers are not ours.
    expect((keptBytes() - before) / 2 ** 20).toBeLessThan(100);
    expect(delays.toSorted((a, b) => a - b)[18]!).toBeLessThan(5_000);
    await edge.readers(20, 15_000);
    const [{ socket, cursors }] = slow as [(typeof slow)[0]];
    const closed = once(socket, 'close') as Promise<[number, Buffer]>;
    for (const one of slow) one.socket.resume();
    const [code, reason] = await closed;
    const told = `Too slow: resume after ${cursors.at(-1)}`;
    // Cut off without a close where it did not read on within five seconds.
    expect([`4429 ${told}`, '1006 ']).toContain(`${code} ${reason.toString()}`);
    const rest = edge.listen(acme.authorization, everything, { after: cursors.at(-1) });
    await rest.until(ids.length - cursors.length);
    expect(idsOf(rest.received)).toEqual(ids.slice(cursors.length));
    rest.stop();
    for (const one of slow) one.socket.terminate();
    for (const listening of quick) listening.stop();
  }, 60_000);

  it('that read on in time get the close with the cursor', async () => {
    await edge.readers(0);
    const { socket, cursors } = await openPaused();
    await edge.readers(1);
    const closed = once(socket, 'close') as Promise<[number, Buffer]>;
    const ids = await acme.append('SYNC_PROGRESSED', 1_200);
    await edge.readers(0, 15_000);
    socket.resume();
    const [code, reason] = await closed;
    expect([code, reason.toString()]).toEqual([4429, `Too slow: resume after ${cursors.at(-1)}`]);
    expect(cursors.length).toBeLessThan(ids.length - 256);
  }, 30_000);

  it('are said goodbye to with 1001 when the process goes away', async () => {
    const listening = edge.listen(acme.authorization, everything);
    await edge.readers(1);
    const startedAt = Date.now();
    await edge.stop();
    expect(Date.now() - startedAt).toBeLessThan(3_000);
    expect(await listening.ended).toMatchObject({ code: 1001, reason: 'Going away' });
  });
});
