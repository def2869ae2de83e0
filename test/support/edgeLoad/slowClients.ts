import { connect } from 'node:net';
import { WebSocket } from 'ws';
import { following } from './followers.ts';
import { graphql, type Asked } from './wire.ts';

/** A client that holds a line without getting on. */
export interface SlowClient {
  kind: string;
  /** Resolves with how the line ended. `gave up`: the client itself, after so long. */
  hold(url: string): Promise<string>;
  expected: RegExp;
}

const trickleEveryMs = 400;
/** A slow sender is cut off long before. */
const senderGivesUpAfterMs = 20_000;
/** Longer than it takes until somebody who does not answer a ping is taken for gone. */
const readerGivesUpAfterMs = 40_000;

export function slowClients(good: Record<string, string>): SlowClient[] {
  const head = 'POST /graphql HTTP/1.1\r\nhost: x\r\n';
  // More than the operating system keeps for a reader.
  const much = headOf(graphql('{ _service { sdl } }', {}, good)).repeat(100);
  const stream = headOf({ ...graphql(following, {}, good), path: '/graphql/stream' });
  return [
    { kind: 'slow headers', hold: (url) => trickle(url, head, 'x-a: b\r\n'), expected: /^(408|closed)$/ },
    {
      kind: 'a slow body',
      hold: (url) =>
        trickle(url, `${head}content-type: application/json\r\ncontent-length: 90000\r\n\r\n{`, ' '),
      expected: /^(408|closed)$/,
    },
    {
      kind: 'a line on which nothing is said',
      hold: (url) => trickle(url, '', ''),
      expected: /^(408|closed)$/,
    },
    // How long somebody who reads nothing is borne depends on how much there is to read.
    {
      kind: 'answers that nobody reads',
      hold: (url) => unread(url, much),
      expected: /^(gave up|closed|reset)$/,
    },
    {
      kind: 'a stream that nobody reads',
      hold: (url) => unread(url, stream),
      expected: /^(gave up|closed|reset)$/,
    },
    // It answers no ping.
    {
      kind: 'a follower that is paused',
      hold: (url) => paused(url, good),
      expected: /^(gave up|1006|4429)$/,
    },
  ];
}

/** Sends a little, for ever. */
function trickle(url: string, start: string, rest: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => start && socket.write(start));
    const timer = setInterval(() => rest !== '' && socket.writable && socket.write(rest), trickleEveryMs);
    const patience = setTimeout(() => end('gave up'), senderGivesUpAfterMs);
    let how = 'closed';
    const end = (as: string) => {
      clearInterval(timer);
      clearTimeout(patience);
      socket.destroy();
      resolve(as);
    };
    socket.on('data', (data) => (how = /^HTTP\/1\.1 (\d+)/.exec(String(data))?.[1] ?? how));
    socket.on('error', (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED' && (how = 'refused'));
    socket.on('close', () => end(how));
  });
}

/** Asks, and reads nothing. */
function unread(url: string, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1' }, () => socket.write(text));
    socket.pause();
    const end = (as: string) => {
      clearTimeout(patience);
      socket.destroy();
      resolve(as);
    };
    const patience = setTimeout(() => end('gave up'), readerGivesUpAfterMs);
    socket.on('error', ({ code }: NodeJS.ErrnoException) =>
      end(code === 'ECONNREFUSED' ? 'refused' : 'reset'),
    );
    socket.on('close', () => end('closed'));
  });
}

/** Follows events, and takes none. */
function paused(url: string, good: Record<string, string>): Promise<string> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      perMessageDeflate: false,
    });
    const patience = setTimeout(() => end('gave up'), readerGivesUpAfterMs);
    let opened = false;
    const end = (as: string) => {
      clearTimeout(patience);
      socket.terminate();
      resolve(as);
    };
    socket.on('error', () => {});
    socket.on('open', () => {
      opened = true;
      socket.send(JSON.stringify({ type: 'connection_init', payload: good }));
      socket.once('message', () => {
        socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: following } }));
        socket.pause();
      });
    });
    socket.on('close', (code) => end(opened ? String(code) : 'refused'));
  });
}

function headOf({ path, headers = {}, body = '' }: Asked): string {
  const lines = Object.entries({ host: 'x', ...headers, 'content-length': String(Buffer.byteLength(body)) });
  return `POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${String(body)}`;
}
