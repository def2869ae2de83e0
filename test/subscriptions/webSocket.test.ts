import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { systemClock } from '../../src/clock.ts';
import { createResolveIdentity } from '../../src/identity.ts';
import { databaseKinds, embeddedDatabase } from '../support/databases.ts';
import { bearer, everything, idsOf, openEdge, subscribe, type Edge, type TestAccount } from './support.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const unknown = '00000000-0000-4000-8000-000000000000';

describe.each(databaseKinds)('a subscription over WebSocket, %s', (_kind, open) => {
  let edge: Edge;
  let acme: TestAccount;
  let rival: TestAccount;
  beforeAll(async () => {
    edge = await openEdge(open);
    acme = await edge.account('acme');
    rival = await edge.account('rival');
  });
  afterEach(() => edge.readers(0));
  afterAll(() => edge?.close());

  /** Subscribed for certain: an event of its own has come. */
  const started = async (account: TestAccount, query: string, variables: Record<string, unknown> = {}) => {
    const before = edge.product.feed.readers();
    const listening = edge.listen(account.authorization, query, variables);
    await edge.readers(before + 1);
    return listening;
  };

  it('brings each event once and in order, as it happens', async () => {
    const listening = await started(acme, everything);
    const ids = [...(await acme.append('SYNC_STARTED', 3)), ...(await acme.append('SYNC_COMPLETED', 2))];
    expect(idsOf(await listening.until(5))).toEqual(ids);
    expect(listening.received[4]!.data.syncEvents).toMatchObject({ kind: 'SYNC_COMPLETED' });
    listening.stop();
    await edge.readers(0);
  });

  it('brings connection, status and record of an event with it', async () => {
    const listening = await started(
      acme,
      'subscription { syncEvents { source connection { id status } syncStatus { id } record { id } problem { code } } }',
    );
    await acme.append('RECORD_UPDATED', 1, { resource: 'Invoice', externalId: '41', source: 'WEBHOOK' });
    const [first] = await listening.until(1);
    const { id } = acme.connection;
    expect(first).toEqual({
      data: {
        syncEvents: {
          source: 'WEBHOOK',
          connection: { id, status: 'ACTIVE' },
          syncStatus: { id: `${id}/Invoice` },
          record: { id: `${id}/Invoice/41` },
          problem: null,
        },
      },
    });
    listening.stop();
  });

  it('resumes after a cursor: what was missed, and then what comes, without gap and double', async () => {
    const history = await edge.product.query(
      '{ connections { events(first: 100) { nodes { id cursor } } } }',
    );
    const nodes = (history.data as any).connections[0].events.nodes as { id: string; cursor: string }[]; // oxlint-disable-line typescript/no-explicit-any -- an answer
    const at = nodes.length >> 1;
    let writing = true;
    const written: string[] = [];
    const writer = (async () => {
      while (writing) {
        written.push(...(await acme.append('SYNC_PROGRESSED', 3)));
        // The embedded database runs on this thread, and leaves the timers no turn by itself.
        await pause(2);
      }
    })();
    const all = Array.from({ length: 5 }, () =>
      edge.listen(acme.authorization, everything, { after: nodes[at]!.cursor }),
    );
    await Promise.all(all.map((listening) => listening.until(50)));
    writing = false;
    await writer;
    const expected = [...nodes.slice(at + 1).map(({ id }) => id), ...written];
    for (const listening of all) {
      await listening.until(expected.length);
      expect(idsOf(listening.received)).toEqual(expected);
      listening.stop();
    }
  });

  it.each([
    ['what is no cursor', 'nonsense', 'BAD_USER_INPUT'],
    ['a cursor of the future', Buffer.from('99999999').toString('base64url'), 'BAD_USER_INPUT'],
    ['a negative cursor', Buffer.from('-1').toString('base64url'), 'BAD_USER_INPUT'],
  ])('refuses %s', async (_, after, code) => {
    const listening = edge.listen(acme.authorization, everything, { after });
    const [result] = await listening.until(1);
    expect(result!.errors![0]!.extensions).toEqual({ code });
    expect(await listening.ended).toBeUndefined();
  });

  it('says so when what followed the cursor is no longer kept', async () => {
    const account = await edge.account('forgetful');
    await account.append('SYNC_STARTED', 10);
    await edge.product.db
      .deleteFrom('sync_events')
      .where('account_id', '=', 'forgetful')
      .where('sequence', '<', 5)
      .execute();
    const after = Buffer.from('2').toString('base64url');
    const listening = edge.listen(account.authorization, everything, { after });
    const [result] = await listening.until(1);
    expect(result!.errors![0]!.extensions).toEqual({ code: 'CURSOR_EXPIRED' });
  });

  it('filters by connection, integration and resource', async () => {
    const query = `subscription ($c: ID, $i: ID, $r: String) {
      syncEvents(connectionId: $c, integrationId: $i, resource: $r) { id }
    }`;
    const other = { connectionId: unknown };
    const [own, foreign, slack, invoices, nothing] = [
      edge.listen(acme.authorization, query, { c: acme.connection.id.toUpperCase() }),
      edge.listen(acme.authorization, query, { c: rival.connection.id }),
      edge.listen(acme.authorization, query, { i: 'slack' }),
      edge.listen(acme.authorization, query, { r: 'Invoice' }),
      edge.listen(acme.authorization, query, { r: 'Invoice', i: 'slack' }),
    ] as const;
    await edge.readers(5);
    const [a] = await acme.append();
    const [b] = await acme.append('RECORD_CREATED', 1, { resource: 'Invoice', externalId: '1' });
    const [c] = await edge.append('acme', [{ ...other, integrationId: 'slack', resource: 'Message' }]);
    await rival.append();
    const [d] = await acme.append();
    expect(idsOf(await own.until(3))).toEqual([a, b, d]);
    expect(idsOf(await slack.until(1))).toEqual([c]);
    expect(idsOf(await invoices.until(1))).toEqual([b]);
    expect(foreign.received).toEqual([]);
    expect(nothing.received).toEqual([]);
    for (const listening of [own, foreign, slack, invoices, nothing]) listening.stop();
    await edge.readers(0);
  });

  it.each([
    ['syncEvents', 'subscription ($id: ID) { syncEvents(connectionId: $id) { id } }'],
    ['connectionChanged', 'subscription ($id: ID) { connectionChanged(connectionId: $id) { id } }'],
  ])('is as silent for a foreign connection as for an unknown one: %s', async (_, query) => {
    for (const id of [rival.connection.id, unknown, 'not-a-uuid']) {
      const listening = await started(acme, query, { id });
      await rival.append('CONNECTION_CHANGED');
      await acme.append('CONNECTION_CHANGED');
      await pause(50);
      expect(listening.received).toEqual([]);
      listening.stop();
      await edge.readers(0);
    }
  });

  it('begins with the present state of connections, and goes on with each change', async () => {
    const account = await edge.account('changing');
    const listening = edge.listen(account.authorization, 'subscription { connectionChanged { id status } }');
    const { id } = account.connection;
    expect((await listening.until(1))[0]!.data.connectionChanged).toEqual({ id, status: 'ACTIVE' });
    await account.append('SYNC_STARTED');
    await edge.product.connections.disconnect({ accountId: 'changing', userId: null }, id);
    const received = await listening.until(2);
    expect(received.at(-1)!.data.connectionChanged).toEqual({ id, status: 'DISCONNECTED' });
    expect(received.every(({ errors }) => errors === undefined)).toBe(true);
    listening.stop();
    const ended = edge.listen(account.authorization, 'subscription { connectionChanged { id status } }');
    await edge.readers(1);
    const asked = edge.listen(
      account.authorization,
      `subscription { connectionChanged(connectionId: "${id}") { status } }`,
    );
    expect((await asked.until(1))[0]!.data).toEqual({ connectionChanged: { status: 'DISCONNECTED' } });
    expect(ended.received).toEqual([]);
    ended.stop();
    asked.stop();
  });

  it('shows two accounts that ask the same nothing of each other', async () => {
    const query = 'subscription { syncEvents { id connection { id account { id } } } }';
    const [first, second] = [await started(acme, query), await started(rival, query)];
    const both = await Promise.all(
      Array.from({ length: 20 }, () => Promise.all([acme.append(), rival.append()])),
    );
    expect(new Set(idsOf(await first.until(20)))).toEqual(new Set(both.flatMap(([own]) => own)));
    expect(new Set(idsOf(await second.until(20)))).toEqual(new Set(both.flatMap(([, own]) => own)));
    const accounts = ({ received }: typeof first) =>
      new Set(received.map(({ data }) => data.syncEvents.connection.account.id as string));
    expect(accounts(first)).toEqual(new Set(['acme']));
    expect(accounts(second)).toEqual(new Set(['rival']));
    first.stop();
    second.stop();
  });

  it('reads the connection once for all who ask the same of one event', async () => {
    const query = 'subscription ($after: String) { syncEvents(after: $after) { id connection { status } } }';
    const before = edge.product.feed.readers();
    const all = Array.from({ length: 20 }, () => edge.listen(acme.authorization, query));
    await edge.readers(before + 20);
    await pause(50);
    edge.product.statements.length = 0;
    await acme.append();
    await Promise.all(all.map((listening) => listening.until(1)));
    const reads = edge.product.statements.filter((sql) => /from "?connections"? (as )?"?c"?/.test(sql));
    expect(reads).toHaveLength(1);
    for (const listening of all) listening.stop();
  });

  it('loads anew for each event', async () => {
    const account = await edge.account('renewed');
    const listening = await started(account, 'subscription { syncEvents { connection { status } } }');
    await account.append();
    await listening.until(1);
    const { id: connectionId } = account.connection;
    await edge.product.connections.disconnect({ accountId: 'renewed', userId: null }, connectionId);
    const received = await listening.until(2);
    expect(received.map(({ data }) => data.syncEvents.connection.status)).toEqual(['ACTIVE', 'DISCONNECTED']);
    listening.stop();
  });
});

describe('a WebSocket', () => {
  let edge: Edge;
  let acme: TestAccount;
  beforeAll(async () => {
    edge = await openEdge(embeddedDatabase, {
      routerSecrets: ['proof'],
      subscriptions: { callbackOrigins: undefined, perAccount: 5, total: 5_000 },
    });
    acme = await edge.account('acme');
  });
  afterAll(() => edge?.close());
  const proof = { 'x-router-secret': 'proof' };

  /** A raw socket that has sent `messages`; how it is closed. */
  const closeOf = async (
    messages: readonly unknown[],
    {
      protocol = ['graphql-transport-ws'],
      headers = {},
    }: { protocol?: string[]; headers?: Record<string, string> } = {},
  ) => {
    const socket = new WebSocket(edge.wsUrl, protocol, { headers });
    socket.on('error', () => {});
    await once(socket, 'open');
    for (const message of messages)
      socket.send(typeof message === 'string' ? message : JSON.stringify(message));
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
    return [code, reason.toString()];
  };
  const init = (payload?: object) => ({ type: 'connection_init', ...(payload && { payload }) });

  it.each<[string, () => Promise<unknown[]>, number, string]>([
    ['no identity', async () => [init({ ...proof })], 4401, 'Unauthorized'],
    ['no router proof', async () => [init({ authorization: acme.authorization })], 4403, 'Forbidden'],
    [
      'a wrong router proof',
      async () => [init({ authorization: acme.authorization, 'x-router-secret': 'x' })],
      4403,
      'Forbidden',
    ],
    [
      'a token of another key',
      async () => [init({ ...proof, authorization: await bearer('acme', 60, 'x'.repeat(40)) })],
      4403,
      'Forbidden',
    ],
    [
      'an expired token',
      async () => [init({ ...proof, authorization: await bearer('acme', -1) })],
      4403,
      'Forbidden',
    ],
    [
      'an account header instead of a token',
      async () => [init({ ...proof, 'x-account-id': 'acme' })],
      4401,
      'Unauthorized',
    ],
    [
      'tokens that contradict each other',
      async () => [
        init({
          ...proof,
          authorization: acme.authorization,
          headers: { Authorization: await bearer('rival') },
        }),
      ],
      4403,
      'Forbidden',
    ],
    [
      'a second connection_init',
      async () => [init({ ...proof, authorization: acme.authorization }), init()],
      4429,
      'Too many initialisation requests',
    ],
    [
      'an operation before connection_init',
      async () => [{ id: '1', type: 'subscribe', payload: { query: '{ __typename }' } }],
      4401,
      'Unauthorized',
    ],
    ['what is no message', async () => ['nonsense'], 4400, 'Invalid message received'],
    ['a message over 128 KiB', async () => [init({ ...proof, more: 'x'.repeat(129 * 1024) })], 1009, ''],
  ])('is closed for %s', async (_, messages, code, reason) => {
    expect(await closeOf(await messages())).toEqual([code, reason]);
  });

  it('is closed for a header that contradicts the parameters', async () => {
    const headers = { ...proof, authorization: acme.authorization };
    expect(await closeOf([init({ authorization: await bearer('rival') })], { headers })).toEqual([
      4403,
      'Forbidden',
    ]);
  });

  it('is closed without the subprotocol', async () => {
    expect(await closeOf([], { protocol: [] })).toEqual([4406, 'Subprotocol not acceptable']);
  });

  it.each<[string, (own: string) => { headers?: Record<string, string>; params?: object }]>([
    ['the upgrade', (authorization) => ({ headers: { ...proof, authorization } })],
    ['flat parameters', (authorization) => ({ params: { ...proof, authorization } })],
    ['parameters in another case', (own) => ({ params: { 'X-Router-Secret': 'proof', Authorization: own } })],
    ['parameters under headers', (authorization) => ({ params: { headers: { ...proof, authorization } } })],
    [
      'parameters passed on',
      (authorization) => ({ params: { connectionParams: { ...proof, authorization } } }),
    ],
    [
      'headers passed on',
      (own) => ({ params: { connectionParams: { headers: { ...proof, authorization: own } } } }),
    ],
    ['both alike', (authorization) => ({ headers: { ...proof, authorization }, params: { authorization } })],
  ])('takes the identity from %s', async (_, from) => {
    const { headers = {}, params } = from(acme.authorization);
    class WithHeaders extends WebSocket {
      constructor(url: string, protocol: string) {
        super(url, protocol, { headers });
      }
    }
    const client = edge.client(undefined, {
      webSocketImpl: WithHeaders,
      ...(params && { connectionParams: params as Record<string, unknown> }),
    });
    const { received, ended } = subscribe(client, '{ connections { id } }');
    expect(await ended).toBeUndefined();
    expect(received).toEqual([{ data: { connections: [{ id: acme.connection.id }] } }]);
    await client.dispose();
  });

  const client = (authorization = acme.authorization) =>
    edge.client(undefined, { connectionParams: { ...proof, authorization } });

  it('answers queries and mutations as HTTP does, their errors too', async () => {
    const own = client();
    for (const query of [
      '{ connections { id status } }',
      'mutation { connect(input: { integrationId: "nosuch" }) { problem { code message } } }',
      '{ nothing }',
      '{',
      '{ connections(status: [NOSUCH]) { id } }',
      'query ($x: Int!) { connections { id } }',
      'query A { connections { id } } query B { connections { id } }',
      'mutation { redriveDeliveries(input: { deliveryIds: [] }) { problem { code } } }',
    ]) {
      const { received, ended } = subscribe(own, query);
      const error = await ended;
      const http = (await (
        await edge.post({ query }, { ...proof, authorization: acme.authorization })
      ).json()) as { errors?: { message: string; extensions: { code: string } }[] };
      const codes = (errors: readonly { extensions: unknown }[] | undefined) =>
        errors?.map(({ extensions }) => (extensions as { code: string }).code);
      // Refused before it was executed, or answered.
      const answer = error ? codes(error as { extensions: unknown }[]) : received;
      expect(answer).toEqual(error ? codes(http.errors) : [http]);
    }
    await own.dispose();
  });

  it('masks a defect of ours as HTTP does', async () => {
    const own = client();
    const { received, ended } = subscribe(
      own,
      '{ connections { record(resource: "Invoice", externalId: "\\u0000") { payload } } }',
    );
    await ended;
    const text = JSON.stringify(received);
    expect(text).not.toMatch(/select|sync_|pg|stack/i);
    await own.dispose();
  });

  it('refuses the operation after the hundredth, and goes on with the others', async () => {
    const own = client();
    const all = Array.from({ length: 100 }, () => subscribe(own, everything));
    await edge.readers(100);
    const refused = (await subscribe(own, everything).ended) as { extensions: unknown }[];
    expect(refused[0]!.extensions).toEqual({ code: 'TOO_MANY_OPERATIONS' });
    await acme.append();
    await Promise.all(all.map((listening) => listening.until(1)));
    await own.dispose();
    await edge.readers(0);
  });

  it('is closed when its account has as many as it may, and not another account’s', async () => {
    const five = Array.from({ length: 5 }, () => client());
    for (const one of five) subscribe(one, everything);
    await edge.readers(5);
    const sixth = [init({ ...proof, authorization: acme.authorization })];
    expect(await closeOf(sixth)).toEqual([4429, 'Too many subscribers']);
    const other = client(await bearer('other'));
    expect(await subscribe(other, '{ connections { id } }').ended).toBeUndefined();
    for (const one of [...five, other]) await one.dispose();
    await edge.readers(0);
    await expect
      .poll(async () => {
        const again = client();
        const ended = await subscribe(again, '{ connections { id } }').ended;
        await again.dispose();
        return ended;
      })
      .toBeUndefined();
  });

  it('ends with its token: 4401 within a second, and nothing after', async () => {
    const own = client(await bearer('acme', 3));
    const listening = subscribe(own, everything);
    await edge.readers(1);
    const expiresAt = Math.floor(Date.now() / 1000) * 1000 + 3_000;
    let writing = true;
    const writer = (async () => {
      while (writing) {
        await acme.append();
        await pause(20);
      }
    })();
    const closed = (await listening.ended) as { code: number; reason: string };
    const lateMs = Date.now() - expiresAt;
    const count = listening.received.length;
    await pause(200);
    writing = false;
    await writer;
    expect([closed.code, closed.reason]).toEqual([4401, 'Token expired']);
    expect(lateMs).toBeLessThan(1_000);
    expect(count).toBeGreaterThan(10);
    expect(listening.received).toHaveLength(count);
    await edge.readers(0);
  });

  it('is closed when nobody says who it is: 200 of them within four seconds', async () => {
    const openedAt = Date.now();
    const closes = await Promise.all(Array.from({ length: 200 }, () => closeOf([])));
    expect(Date.now() - openedAt).toBeLessThan(4_500);
    expect(closes.every(([code]) => code === 4408)).toBe(true);
  });

  it('is cut off when a silent client does not even answer the close', async () => {
    const { port } = new URL(edge.url);
    const raw = connect(Number(port), '127.0.0.1');
    const openedAt = Date.now();
    raw.write(
      `GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n`,
    );
    raw.resume();
    await once(raw, 'close');
    expect(Date.now() - openedAt).toBeLessThan(4_500);
  });

  it('is refused at other paths, and leaves an offer of another protocol alone', async () => {
    const elsewhere = new WebSocket(`${edge.url.replace('http', 'ws')}/nothing`, 'graphql-transport-ws');
    const [error] = (await once(elsewhere, 'error')) as [Error];
    expect(error.message).toContain('404');
    const { port } = new URL(edge.url);
    const raw = connect(Number(port), '127.0.0.1');
    raw.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
    const [answer] = (await once(raw, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 200/);
    raw.destroy();
  });

  it('that is refused is not held open by who never ends its half of the line', async () => {
    const { port } = new URL(edge.url);
    const raw = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
    raw.write('GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await once(raw.resume(), 'end');
    // What is written to nobody comes back as a reset; what somebody holds open swallows it.
    const writing = setInterval(() => raw.write('x'), 20);
    const [error] = (await once(raw, 'error')) as [NodeJS.ErrnoException];
    clearInterval(writing);
    expect(error.code).toMatch(/^(ECONNRESET|EPIPE)$/);
  });
});

describe('a WebSocket to a process that believes x-account-id', () => {
  let edge: Edge;
  beforeAll(async () => {
    const config = { kind: 'development', accountClaim: '', issuer: undefined, audience: undefined } as const;
    edge = await openEdge(embeddedDatabase, { resolveIdentity: createResolveIdentity(config, systemClock) });
  });
  afterAll(() => edge?.close());

  it.each([
    ['no page', undefined, true],
    ['a page of this machine', 'http://localhost:3000', true],
    ['a page of this machine by number', 'http://127.0.0.1:3000', true],
    ['another page', 'https://evil.example', false],
    ['a page that only begins like ours', 'http://localhost.evil.example', false],
    ['a page without an origin', 'null', false],
  ])('serves %s: %s', async (_, origin, isServed) => {
    const socket = new WebSocket(edge.wsUrl, 'graphql-transport-ws', { ...(origin && { origin }) });
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init', payload: { 'x-account-id': 'demo' } }));
    const answer = await Promise.race([
      once(socket, 'message').then(([message]) => (JSON.parse(String(message)) as { type: string }).type),
      once(socket, 'close').then(([code]) => code as number),
    ]);
    expect(answer).toBe(isServed ? 'connection_ack' : 4403);
    socket.terminate();
  });
});
