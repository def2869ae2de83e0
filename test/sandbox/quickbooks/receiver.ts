/**
 * An app's webhook endpoint, over real HTTP.
 *
 *   const receiver = await openReceiver();
 *   await sandbox.admin('PUT', 'quickbooks/webhook-endpoint', { url: receiver.url });
 *   receiver.answer = (index) => (index < 3 ? 500 : 200);
 *   const { body } = (await receiver.received(1))[0]!;
 *   await receiver.close();
 */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Received {
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Receiver {
  url: string;
  /** In the order of arrival. */
  all: Received[];
  /** How to answer from now on: a status, or never. */
  answer: (index: number) => number | 'hang';
  /** Waits in real time, five seconds at most, until at least so many have arrived. */
  received(count: number): Promise<Received[]>;
  close(): Promise<void>;
}

export async function openReceiver(): Promise<Receiver> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      receiver.all.push({ headers: request.headers, body: Buffer.concat(chunks).toString('utf8') });
      const answer = receiver.answer(receiver.all.length - 1);
      if (answer !== 'hang') response.writeHead(answer).end();
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhooks/quickbooks`,
    all: [],
    answer: () => 200,
    async received(count) {
      for (let waitedMs = 0; receiver.all.length < count; waitedMs += 5) {
        if (waitedMs > 5000) throw new Error(`only ${receiver.all.length} of ${count} were received`);
        await sleep(5);
      }
      return receiver.all;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
  return receiver;
}
