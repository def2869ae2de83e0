import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { openEdge, type Edge, type TestAccount } from '../subscriptions/support.ts';
import { embeddedDatabase } from '../support/databases.ts';

const init = { type: 'connection_init', payload: { authorization: 'Bearer x' } };
const following = (id: string) => ({
  id,
  type: 'subscribe',
  payload: { query: 'subscription { syncEvents { id } }' },
});
const asking = (id: string) => ({ id, type: 'subscribe', payload: { query: '{ connections { id } }' } });

/**
 * The protocol's rules of conduct that test/subscriptions/webSocket.test.ts, which has those of identity and limits,
 * leaves: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
 */
describe('graphql-transport-ws', () => {
  let edge: Edge;
  let acme: TestAccount;
  beforeAll(async () => {
    edge = await openEdge(embeddedDatabase, {
      resolveIdentity: ({ authorization }) =>
        authorization === 'out of order'
          ? Promise.reject(new Error('the identity provider does not answer'))
          : Promise.resolve({
              accountId: 'acme',
              userId: null,
              scopes: new Set<string>(),
              expiresAt: null,
              key: null,
            }),
    });
    acme = await edge.account('acme');
  });
  afterAll(() => edge?.close());

  /** A socket that says what it is told to; everything that it is sent. */
  const open = async (...messages: unknown[]) => {
    const socket = new WebSocket(edge.wsUrl, 'graphql-transport-ws');
    const received: { type: string; id?: string; payload?: unknown }[] = [];
    socket.on('message', (data: Buffer) =>
      received.push(JSON.parse(data.toString()) as (typeof received)[0]),
    );
    await once(socket, 'open');
    const say = (message: unknown) =>
      socket.send(typeof message === 'string' ? message : JSON.stringify(message));
    for (const message of messages) {
      const isAcknowledged = received.some(({ type }) => type === 'connection_ack');
      say(message);
      // What follows a connection_init is said once it was acknowledged.
      if (message === init && !isAcknowledged && message !== messages.at(-1))
        await expect.poll(() => received.map(({ type }) => type)).toContain('connection_ack');
    }
    return {
      say,
      received,
      types: () => received.map(({ type }) => type),
      closed: once(socket, 'close').then(([code, reason]) => [code as number, String(reason)]),
      end: () => socket.terminate(),
    };
  };
  it.each<[number, string, string, unknown[]]>([
    [4400, 'Invalid message received', 'what is no JSON', ['{']],
    [4400, 'Invalid message received', 'JSON that is no object', ['[1]']],
    [4400, 'Invalid message received', 'a type that there is not', [init, { type: 'start', id: '1' }]],
    [
      4400,
      'Invalid message received',
      'an operation without an id',
      [init, { ...asking('1'), id: undefined }],
    ],
    [
      4400,
      'Invalid message received',
      'an operation without a query',
      [init, { ...asking('1'), payload: {} }],
    ],
    [4401, 'Unauthorized', 'an operation before connection_init', [asking('1')]],
    [4409, 'Subscriber for 1 already exists', 'an id that is in use', [init, following('1'), following('1')]],
    [4429, 'Too many initialisation requests', 'a second connection_init', [init, { ...init }]],
    [
      4500,
      'Internal server error',
      'an identity that nobody can verify at present',
      [{ type: 'connection_init', payload: { authorization: 'out of order' } }],
    ],
  ])('is closed with %i %s for %s', async (code, reason, _, messages) => {
    const line = await open(...messages);
    expect(await line.closed).toEqual([code, reason]);
  });

  it('frees an id when its operation is completed, by either side', async () => {
    const line = await open(init, following('1'));
    await edge.readers(1);
    line.say({ id: '1', type: 'complete' });
    await edge.readers(0);
    line.say(asking('1'));
    await expect.poll(line.types).toEqual(['connection_ack', 'next', 'complete']);
    line.say(asking('1'));
    await expect.poll(line.types).toEqual(['connection_ack', 'next', 'complete', 'next', 'complete']);
    line.end();
  });

  it('answers a ping at any time, what it carried included, and takes a pong that nobody asked for', async () => {
    const ping = (n: number) => ({ type: 'ping', payload: { n } });
    const line = await open(ping(1), init, { type: 'pong' }, ping(2));
    await expect
      .poll(() => line.received)
      .toEqual([{ ...ping(1), type: 'pong' }, { type: 'connection_ack' }, { ...ping(2), type: 'pong' }]);
    line.end();
  });

  it('tells the error of one operation as that operation’s, and goes on with the others', async () => {
    const refused = { id: 'refused', type: 'subscribe', payload: { query: '{ nosuch }' } };
    const line = await open(init, following('kept'));
    await edge.readers(1);
    line.say(refused);
    await expect.poll(line.types).toEqual(['connection_ack', 'error']);
    expect(line.received[1]).toMatchObject({
      id: 'refused',
      payload: [{ extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }],
    });
    await acme.append();
    await expect.poll(line.types).toEqual(['connection_ack', 'error', 'next']);
    line.end();
    await edge.readers(0);
  });
});
