import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Product } from '../product.ts';

/** One address for all processes: what reaches none of them is 502, and the provider sends it again. */
export async function openBalancer(alive: () => Product[]) {
  let turn = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const products = alive();
      const product = products[turn++ % Math.max(1, products.length)];
      const headers = Object.entries(request.headers).filter(
        ([name]) => !['host', 'connection', 'content-length', 'transfer-encoding'].includes(name),
      ) as [string, string][];
      void (async () => {
        try {
          if (!product) throw new Error('nobody is there');
          const answer = await fetch(`${product.url}${request.url}`, {
            method: 'POST',
            headers: Object.fromEntries(headers),
            body: Buffer.concat(chunks),
          });
          response.writeHead(answer.status, { 'content-type': 'application/json' });
          response.end(await answer.text());
        } catch {
          response.writeHead(502).end();
        }
      })();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}
