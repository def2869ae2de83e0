/** One way each to ask the running product for something, and all that it answers, as text. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket } from 'ws';

export interface Asked {
  /** The HTTP status; undefined over a socket. */
  status?: number;
  answers: string[];
}

export type Ask = (body: object, account: string, follows: boolean) => Promise<Asked>;

/** How long a subscription is listened to, which may have nothing to tell. */
const listenMs = 25;
const answerWithinMs = 20_000;

const headersOf = (account: string) => ({ 'content-type': 'application/json', 'x-account-id': account });

export function overHttp(url: string): Ask {
  return async (body, account) => {
    const init = { method: 'POST', headers: headersOf(account), body: JSON.stringify(body) };
    const answer = await fetch(`${url}/graphql`, { ...init, signal: AbortSignal.timeout(answerWithinMs) });
    return { status: answer.status, answers: [await answer.text()] };
  };
}

export function overGet(url: string): Ask {
  return async (body, account) => {
    const { query, variables, operationName } = body as {
      query: string;
      variables: object;
      operationName?: string;
    };
    const search = new URLSearchParams({ query, variables: JSON.stringify(variables) });
    if (operationName !== undefined) search.set('operationName', operationName);
    const headers = { 'x-account-id': account, 'apollo-require-preflight': '1' };
    const answer = await fetch(`${url}/graphql?${search.toString()}`, {
      ...{ headers, signal: AbortSignal.timeout(answerWithinMs) },
    });
    return { status: answer.status, answers: [await answer.text()] };
  };
}

/** Reads a stream of events until it ends, or for a moment where it follows something. */
export function overEvents(url: string): Ask {
  return async (body, account, follows) => {
    const abort = new AbortController();
    const cancel = setTimeout(() => abort.abort(), answerWithinMs);
    try {
      const init = { method: 'POST', headers: headersOf(account), body: JSON.stringify(body) };
      const answer = await fetch(`${url}/graphql/stream`, { ...init, signal: abort.signal });
      if (answer.status !== 200) return { status: answer.status, answers: [await answer.text()] };
      if (follows) setTimeout(() => abort.abort(), listenMs);
      let text = '';
      const decoder = new TextDecoder();
      try {
        for await (const chunk of answer.body!) text += decoder.decode(chunk as Uint8Array, { stream: true });
      } catch (error) {
        if (!follows) throw error;
      }
      const whole = text.split('\n\n').slice(0, -1);
      const answers = whole.flatMap((block) => {
        if (!block.includes('event: next')) return [];
        return [block.slice(block.indexOf('data: ') + 'data: '.length)];
      });
      if (!follows && answers.length === 0) throw new Error('a stream without an answer');
      return { status: 200, answers };
    } finally {
      clearTimeout(cancel);
    }
  };
}

/** One socket for each account, opened again where the server has closed it. */
export function overSocket(url: string): { ask: Ask; closes: string[]; stop(): void } {
  const sockets = new Map<string, Promise<WebSocket>>();
  const waiting = new Map<string, (message: { type: string; payload?: unknown } | undefined) => void>();
  const closes: string[] = [];
  let ids = 0;
  const open = async (account: string): Promise<WebSocket> => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    const closed = new Promise<undefined>((resolve) => {
      socket.on('error', () => {});
      socket.on('close', (code, reason) => {
        sockets.delete(account);
        // Three seconds may not be enough for us to say who we are, where much else runs.
        if (code !== 1005 && code !== 4408) closes.push(`${code} ${reason.toString()}`);
        for (const [id, tell] of waiting) if (id.startsWith(`${account} `)) tell(undefined);
        resolve(undefined);
      });
    });
    await Promise.race([once(socket, 'open'), closed]);
    socket.send(JSON.stringify({ type: 'connection_init', payload: { 'x-account-id': account } }));
    if (!(await Promise.race([once(socket, 'message'), closed]))) return open(account);
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as { id: string; type: string; payload?: unknown };
      waiting.get(message.id)?.(message);
    });
    return socket;
  };
  const ask: Ask = async (body, account, follows) => {
    if (!sockets.has(account)) sockets.set(account, open(account));
    const socket = await sockets.get(account)!;
    const id = `${account} ${ids++}`;
    const answers: string[] = [];
    const over = Promise.withResolvers<void>();
    const cancel = setTimeout(() => over.reject(new Error('no answer over the socket')), answerWithinMs);
    waiting.set(id, (message) => {
      if (message?.payload !== undefined)
        answers.push(
          JSON.stringify(message.type === 'error' ? { errors: message.payload } : message.payload),
        );
      if (message?.type !== 'next') over.resolve();
    });
    try {
      socket.send(JSON.stringify({ id, type: 'subscribe', payload: body }));
      if (follows) setTimeout(() => over.resolve(), listenMs);
      await over.promise;
      if (follows) socket.send(JSON.stringify({ id, type: 'complete' }));
      return { answers };
    } finally {
      clearTimeout(cancel);
      waiting.delete(id);
    }
  };
  return {
    ask,
    closes,
    stop() {
      for (const socket of sockets.values()) void socket.then((one) => one.close(1000));
    },
  };
}

/** A router that takes what is posted to it for a moment, and then wants no more. */
export async function overCallbacks(url: string): Promise<{ ask: Ask; close(): Promise<void> }> {
  const posted = new Map<string, string[]>();
  let ids = 0;
  const router = createServer((request, response) => {
    void (async () => {
      let text = '';
      for await (const chunk of request) text += String(chunk);
      const { id, action } = JSON.parse(text) as { id: string; action: string };
      const texts = posted.get(id);
      if (action !== 'check') texts?.push(text);
      response.writeHead(texts ? 204 : 404, { 'subscription-protocol': 'callback/1.0' }).end();
    })();
  });
  await new Promise<void>((resolve) => router.listen(0, '127.0.0.1', resolve));
  const { port } = router.address() as AddressInfo;
  const ask: Ask = async (body, account, follows) => {
    const id = String(ids++);
    const texts: string[] = [];
    posted.set(id, texts);
    const subscription = {
      callbackUrl: `http://127.0.0.1:${port}/callback/${id}`,
      ...{ subscriptionId: id, verifier: 'v', heartbeatIntervalMs: 100 },
    };
    const answer = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { ...headersOf(account), accept: 'application/json;callbackSpec=1.0' },
      body: JSON.stringify({ ...body, extensions: { subscription } }),
      signal: AbortSignal.timeout(answerWithinMs),
    });
    const text = await answer.text();
    if (follows) await new Promise((resolve) => setTimeout(resolve, 2 * listenMs));
    posted.delete(id);
    return { status: answer.status, answers: [text, ...texts] };
  };
  return {
    ask,
    async close() {
      router.closeAllConnections();
      await new Promise((resolve) => router.close(resolve));
    },
  };
}
