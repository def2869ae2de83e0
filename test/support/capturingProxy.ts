/** Passes requests on to an emulated provider and keeps both sides as they were on the wire. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface CapturingProxy {
  url: string;
  /** Where to; set it before the first request. */
  target: string;
  /** Headers and bodies of requests and answers. */
  captured: { request: Captured; response: Captured }[];
  close(): Promise<void>;
}

export interface Captured {
  headers: Record<string, string>;
  body: string;
}

export async function capturingProxy(): Promise<CapturingProxy> {
  const captured: CapturingProxy['captured'] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { host: _host, connection: _connection, ...headers } = request.headers as Record<string, string>;
      const body = Buffer.concat(chunks).toString();
      const sent = { method: request.method!, headers, ...(body !== '' && { body }) };
      void fetch(`${proxy.target}${request.url}`, sent).then(async (answer) => {
        const text = await answer.text();
        captured.push({
          request: { headers, body },
          response: { headers: Object.fromEntries(answer.headers), body: text },
        });
        const type = answer.headers.get('content-type');
        response.writeHead(answer.status, type === null ? {} : { 'content-type': type }).end(text);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: CapturingProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    target: '',
    captured,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return proxy;
}
