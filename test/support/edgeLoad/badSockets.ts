import { WebSocket } from 'ws';
import { hostile } from '../../guard/hostile.ts';
import { following } from './followers.ts';
import type { Proofs } from './badRequests.ts';

/** A WebSocket that does not keep to the protocol, or asks too much. */
export interface BadSocket {
  kind: string;
  protocols?: string[];
  /** Done with the open socket. */
  misbehave(socket: WebSocket, say: (message: object) => void): void;
  /** Of the code that closed it, or `error <code>` of what was asked. */
  expected: RegExp;
}

export function badSockets({ good, expired, forged }: Proofs): BadSocket[] {
  const init = { type: 'connection_init', payload: good };
  const as = (token: string) => ({
    type: 'connection_init',
    payload: { ...good, authorization: `Bearer ${token}` },
  });
  const tooMuch = hostile.find(({ title }) => title === 'depth 50')!.body;
  return [
    { kind: 'no subprotocol', protocols: [], misbehave: () => {}, expected: /^4406$/ },
    { kind: 'a socket that says nothing', misbehave: () => {}, expected: /^4408$/ },
    { kind: 'a binary frame', misbehave: (socket) => socket.send(Buffer.alloc(100, 1)), expected: /^4400$/ },
    { kind: 'a frame that is no JSON', misbehave: (socket) => socket.send('{"type":'), expected: /^4400$/ },
    {
      kind: 'a message of 200 kB',
      misbehave: (socket) => socket.send('x'.repeat(200_000)),
      expected: /^1009$/,
    },
    {
      kind: 'an operation before it is known who asks',
      misbehave: (_, say) => say({ id: '1', type: 'subscribe', payload: { query: following } }),
      expected: /^4401$/,
    },
    { kind: 'a socket with an expired token', misbehave: (_, say) => say(as(expired)), expected: /^4403$/ },
    { kind: 'a socket with a forged token', misbehave: (_, say) => say(as(forged)), expected: /^4403$/ },
    {
      kind: 'a socket that does not come through the router',
      misbehave: (_, say) => say({ type: 'connection_init', payload: { authorization: good.authorization } }),
      expected: /^4403$/,
    },
    { kind: 'two beginnings', misbehave: (_, say) => (say(init), say(init)), expected: /^4429$/ },
    {
      kind: 'depth 50 over a socket',
      misbehave(socket, say) {
        say(init);
        socket.once('message', () => say({ id: '1', type: 'subscribe', payload: tooMuch }));
      },
      expected: /^error OPERATION_TOO_COMPLEX$/,
    },
  ];
}

/** How it ended; `unopened` and why where nobody took it. */
export function misbehave(
  url: string,
  { protocols = ['graphql-transport-ws'], misbehave: act }: BadSocket,
): Promise<string> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, protocols, {
      perMessageDeflate: false,
    });
    let opened = false;
    let why = '';
    socket.on('error', (error: NodeJS.ErrnoException) => (why = error.code ?? error.message));
    socket.on('open', () => {
      opened = true;
      act(socket, (message) => socket.send(JSON.stringify(message)));
    });
    socket.on('message', (data: Buffer) => {
      const { type, payload } = JSON.parse(data.toString()) as {
        type: string;
        payload?: { extensions?: { code?: string } }[];
      };
      if (type !== 'error') return;
      resolve(`error ${payload?.[0]?.extensions?.code}`);
      socket.terminate();
    });
    socket.on('close', (code) => resolve(opened ? String(code) : `unopened ${why}`));
  });
}
