import { once } from 'node:events';
import { WebSocket } from 'ws';
import { stream, type Edge, type Result } from '../subscriptions/support.ts';

export interface Answered {
  /** The HTTP status, or the type of the frame, or the code that closed the socket. */
  how: number | string;
  errors: NonNullable<Result['errors']>;
  data?: unknown;
}

type Headers = Record<string, string>;
export type Send = (edge: Edge, body: object, headers?: Headers) => Promise<Answered>;

async function posted(edge: Edge, body: object, headers: Headers, path = '/graphql'): Promise<Answered> {
  const answer = await edge.post(body, headers, path);
  const { errors = [], data } = (await answer.json()) as Result;
  return { how: answer.status, errors, ...(data !== undefined && { data: data as unknown }) };
}

/** Identity and proof in `connectionParams`, as a gateway sends them. */
async function overSocket(edge: Edge, body: object, headers: Headers): Promise<Answered> {
  const socket = new WebSocket(edge.wsUrl, ['graphql-transport-ws']);
  socket.on('error', () => {});
  const closed = once(socket, 'close').then(([code]): Answered => ({ how: code as number, errors: [] }));
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload: headers }));
  const answered = (async (): Promise<Answered> => {
    await once(socket, 'message');
    socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: body }));
    const [message] = await once(socket, 'message');
    const { type, payload } = JSON.parse(String(message)) as { type: string; payload: unknown };
    if (type === 'error') return { how: type, errors: payload as Answered['errors'] };
    const { errors = [], data } = payload as Result;
    return { how: type, errors, ...(data !== undefined && { data: data as unknown }) };
  })();
  const first = await Promise.race([answered, closed]);
  socket.terminate();
  return first;
}

async function overEvents(edge: Edge, body: object, headers: Headers): Promise<Answered> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers } };
  const whole = { ...init, body: JSON.stringify(body) };
  const url = `${edge.url}/graphql/stream`;
  const opened = await stream(url, whole);
  if (opened.status !== 200) {
    opened.stop();
    return posted(edge, body, headers, '/graphql/stream');
  }
  await opened.until(1);
  opened.stop();
  const { errors = [], data } = opened.results()[0]!;
  return { how: 200, errors, ...(data !== undefined && { data: data as unknown }) };
}

/** All ways in. Callbacks begin with a POST that says so; what is no subscription is answered as any other. */
export const transports: Record<string, Send> = {
  HTTP: (edge, body, headers = {}) => posted(edge, body, headers),
  'server-sent events': (edge, body, headers = {}) => overEvents(edge, body, headers),
  callbacks: (edge, body, headers = {}) =>
    posted(edge, body, { ...headers, accept: 'application/json;callbackSpec=1.0' }),
  WebSocket: (edge, body, headers = {}) => overSocket(edge, body, headers),
};
