/** Many that open a WebSocket and say nothing: to be run in processes of their own, so that only the server is measured. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { inOwnProcess } from '../../bench/process.ts';

interface Silent {
  port: number;
  count: number;
  /** Where they come from: any of 127.0.0.0/8. */
  address: string;
}

export interface SilentReport {
  /** Sockets that were opened (101). */
  opened: number;
  /** Those that were not, by the first line of the answer. */
  refused: Record<string, number>;
  /** How the opened ones were closed, by code: none where the line was just cut. */
  closes: Record<string, number>;
  /** From the 101 to the end of the line. */
  slowestMs: number;
  medianMs: number;
}

/** `count` sockets from each address, each address a process of its own. */
export async function openSilent(
  port: number,
  count: number,
  addresses: readonly string[],
): Promise<SilentReport> {
  const all = await Promise.all(
    addresses.map((address) => inOwnProcess(import.meta.url, stayConnected, { port, count, address })),
  );
  const times = all.flatMap((one) => one.times).toSorted((a, b) => a - b);
  const sum = (pick: (one: (typeof all)[0]) => Record<string, number>) => {
    const total: Record<string, number> = {};
    for (const one of all)
      for (const [key, value] of Object.entries(pick(one))) total[key] = (total[key] ?? 0) + value;
    return total;
  };
  return {
    ...{ opened: times.length, refused: sum((one) => one.refused), closes: sum((one) => one.closes) },
    slowestMs: Math.round(times.at(-1) ?? 0),
    medianMs: Math.round(times[Math.floor(times.length / 2)] ?? 0),
  };
}

export async function stayConnected({ port, count, address }: Silent) {
  const refused: Record<string, number> = {};
  const closes: Record<string, number> = {};
  const times: number[] = [];
  const add = (to: Record<string, number>, key: string) => (to[key] = (to[key] ?? 0) + 1);
  const one = () =>
    new Promise<void>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1', localAddress: address });
      let openedAt: number | undefined;
      let close = 'none';
      socket.write(
        `GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n`,
      );
      socket.on('data', (chunk) => {
        if (openedAt === undefined) {
          const [line] = chunk.toString('latin1').split('\r\n');
          if (!line!.includes('101')) return void add(refused, line!);
          openedAt = performance.now();
          return;
        }
        // A close frame; its code is never answered.
        if (chunk[0] === 0x88 && chunk.length >= 4) close = String(chunk.readUInt16BE(2));
      });
      socket.on('error', (error: NodeJS.ErrnoException) => {
        if (openedAt === undefined) add(refused, error.code ?? 'error');
      });
      socket.on('close', () => {
        if (openedAt !== undefined) {
          times.push(performance.now() - openedAt);
          add(closes, close);
        }
        resolve();
      });
    });
  await Promise.all(Array.from({ length: count }, one));
  return { refused, closes, times };
}
