import { connect } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { usualLimits } from '../../src/guard/limits.ts';
import { databaseKinds, embeddedDatabase } from '../support/databases.ts';
import { bearer, everything, openEdge, stream, until, type Edge, type TestAccount } from './support.ts';

const addressOf = (edge: Edge, query: string, variables?: object) =>
  `${edge.url}/graphql/stream?${new URLSearchParams({ query, ...(variables && { variables: JSON.stringify(variables) }) })}`;

describe.each(databaseKinds)('a subscription over server-sent events, %s', (_kind, open) => {
  let edge: Edge;
  let acme: TestAccount;
  beforeAll(async () => {
    edge = await openEdge(open);
    acme = await edge.account('acme');
  });
  afterAll(() => edge?.close());

  const get = async (query: string, variables?: object, headers: Record<string, string> = {}) => {
    const opened = await stream(addressOf(edge, query, variables), {
      headers: { accept: 'text/event-stream', authorization: acme.authorization, ...headers },
    });
    return opened;
  };
  const readers = (count: number) => edge.readers(count);

  it('brings each event as `next`, with its cursor as the id', async () => {
    const opened = await get(everything);
    expect(opened.status).toBe(200);
    expect(opened.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    await readers(1);
    const ids = await acme.append('SYNC_STARTED', 3);
    await opened.until(3);
    expect(opened.results().map(({ data }) => data.syncEvents.id as string)).toEqual(ids);
    expect(opened.events.map(({ event, id }) => [event, id])).toEqual(
      opened.results().map(({ data }) => ['next', data.syncEvents.cursor as string]),
    );
    opened.stop();
    await readers(0);
  });

  it('takes a POST alike', async () => {
    const opened = await stream(`${edge.url}/graphql/stream`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: acme.authorization },
      body: JSON.stringify({ query: everything, variables: { after: null } }),
    });
    await readers(1);
    await acme.append();
    await opened.until(1);
    expect(opened.results()).toHaveLength(1);
    opened.stop();
    await readers(0);
  });

  it('resumes after Last-Event-ID, whatever the address says', async () => {
    const first = await get(everything);
    await readers(1);
    const ids = await acme.append('SYNC_STARTED', 4);
    await first.until(4);
    first.stop();
    const { id: early } = first.events[0]!;
    const { id: late } = first.events[2]!;
    const second = await get(everything, { after: early }, { 'last-event-id': late! });
    await second.until(1);
    const third = await get(everything, { after: early });
    await third.until(3);
    const idsOf = (opened: typeof first) => opened.results().map(({ data }) => data.syncEvents.id as string);
    expect(idsOf(second)).toEqual(ids.slice(3));
    expect(idsOf(third)).toEqual(ids.slice(1));
    second.stop();
    third.stop();
    await readers(0);
  });

  it('begins with the present state of connections, without ids, since it has no cursor', async () => {
    const opened = await get('subscription { connectionChanged { id } }');
    await opened.until(1);
    await acme.append('CONNECTION_CHANGED');
    await opened.until(2);
    expect(opened.events.map((event) => [event.event, 'id' in event])).toEqual([
      ['next', false],
      ['next', false],
    ]);
    opened.stop();
    await readers(0);
  });

  it('completes after the error of a cursor that is none', async () => {
    const opened = await get(everything, { after: 'nonsense' });
    await opened.ended;
    expect(opened.results()[0]!.errors![0]!.extensions).toEqual({ code: 'BAD_USER_INPUT' });
    expect(opened.events.map(({ event }) => event)).toEqual(['next', 'complete']);
  });

  it('answers a query, and completes', async () => {
    const opened = await get('{ connections { id } }');
    await opened.ended;
    expect(opened.results()).toEqual([{ data: { connections: [{ id: acme.connection.id }] } }]);
    expect(opened.events.at(-1)!.event).toBe('complete');
  });
});

describe('a stream', () => {
  let edge: Edge;
  let acme: TestAccount;
  beforeAll(async () => {
    edge = await openEdge(embeddedDatabase, {
      routerSecrets: ['proof'],
      subscriptions: { callbackOrigins: undefined, perAccount: 3, total: 100 },
      limits: { ...usualLimits, aliases: 300 },
    });
    acme = await edge.account('acme');
  });
  afterAll(() => edge?.close());
  const usual = () => ({ 'x-router-secret': 'proof', authorization: acme.authorization });

  it.each<[string, () => Promise<Record<string, string>>]>([
    ['no identity', async () => ({ 'x-router-secret': 'proof' })],
    ['no router proof', async () => ({ authorization: acme.authorization })],
    ['an expired token', async () => ({ ...usual(), authorization: await bearer('acme', -1) })],
    ['an account header', async () => ({ 'x-router-secret': 'proof', 'x-account-id': 'acme' })],
  ])('is not opened for %s', async (_, headers) => {
    const answer = await fetch(addressOf(edge, everything), { headers: await headers() });
    expect(answer.status).toBe(401);
    const { errors } = (await answer.json()) as { errors: { extensions: { code: string } }[] };
    expect(errors[0]!.extensions.code).toBe('UNAUTHENTICATED');
  });

  it.each([
    ['what does not parse', '{', {}, 400, 'GRAPHQL_PARSE_FAILED'],
    ['a field that is none', 'subscription { nothing }', {}, 400, 'GRAPHQL_VALIDATION_FAILED'],
    [
      'two root fields',
      'subscription { a: syncEvents { id } b: syncEvents { id } }',
      {},
      400,
      'GRAPHQL_VALIDATION_FAILED',
    ],
    ['a variable that does not fit', everything, { after: 1 }, 400, 'BAD_USER_INPUT'],
    [
      'a mutation',
      'mutation { refresh(input: { connectionId: "x" }) { problem { code } } }',
      {},
      405,
      'BAD_REQUEST',
    ],
  ])('is refused for %s', async (_, query, variables, status, code) => {
    const answer = await fetch(addressOf(edge, query, variables), { headers: usual() });
    expect(answer.status).toBe(status);
    const { errors } = (await answer.json()) as { errors: { extensions: { code: string } }[] };
    expect(errors[0]!.extensions).toEqual({ code });
  });

  it('is refused where `variables` are no JSON, and without a query', async () => {
    for (const search of ['query={__typename}&variables={', '', 'variables={}']) {
      const answer = await fetch(`${edge.url}/graphql/stream?${search}`, { headers: usual() });
      expect(answer.status).toBe(400);
    }
  });

  it('is refused when its account has as many as it may', async () => {
    const headers = usual();
    const three = await Promise.all([1, 2, 3].map(() => stream(addressOf(edge, everything), { headers })));
    const answer = await fetch(addressOf(edge, everything), { headers });
    expect(answer.status).toBe(503);
    for (const one of three) one.stop();
    await expect
      .poll(async () => {
        const again = await stream(addressOf(edge, '{ __typename }'), { headers });
        again.stop();
        return again.status;
      })
      .toBe(200);
  });

  it('ends with its token: UNAUTHENTICATED within a second, and nothing after', async () => {
    const headers = { ...usual(), authorization: await bearer('acme', 3) };
    const opened = await stream(addressOf(edge, everything), { headers });
    const expiresAt = Math.floor(Date.now() / 1000) * 1000 + 3_000;
    await edge.readers(1);
    const [id] = await acme.append();
    await opened.ended;
    expect(Date.now() - expiresAt).toBeLessThan(1_000);
    const [first, last] = opened.results();
    expect(first!.data.syncEvents.id).toBe(id);
    expect(last!.errors![0]!.extensions).toEqual({ code: 'UNAUTHENTICATED' });
    expect(opened.events.map(({ event }) => event)).toEqual(['next', 'next', 'complete']);
  });

  it('is told that somebody is there every 12 seconds', async () => {
    const opened = await stream(addressOf(edge, everything), { headers: usual() });
    await until(() => opened.beats() > 0, 13_000);
    expect(opened.events).toEqual([]);
    opened.stop();
  });

  it('waits for a reader that does not read, and ends one that never does', async () => {
    const { port } = new URL(edge.url);
    const raw = connect(Number(port), '127.0.0.1');
    // Large answers fill the buffers of the kernel early.
    const large = `subscription { syncEvents { cursor ${Array.from({ length: 300 }, (_, i) => `member${i}: id`).join(' ')} } }`;
    const body = JSON.stringify({ query: large });
    const headers = Object.entries(usual()).map(([name, value]) => `${name}: ${value}\r\n`);
    raw.write(
      `POST /graphql/stream HTTP/1.1\r\nHost: x\r\n${headers.join('')}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await once(raw, 'data');
    raw.pause();
    await edge.readers(1);
    for (let i = 0; i < 10; i++) {
      await acme.append('SYNC_PROGRESSED', 100);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await edge.readers(0, 12_000);
    let text = '';
    raw.on('data', (chunk) => (text += String(chunk)));
    raw.resume();
    await until(() => text.includes('event: complete'));
    raw.destroy();
    const cursors = [...text.matchAll(/^id: (\S+)/gm)].map(([, cursor]) => cursor!);
    expect(text).toMatch(/"code":"TOO_SLOW"/);
    const told = /"cursor":"([^"]+)"\}\}\]\}/.exec(text)?.[1];
    expect(told).toBe(cursors.at(-1));
    expect(cursors.length).toBeLessThan(1_000);
  });

  it('completes when the process goes away', async () => {
    const opened = await stream(addressOf(edge, everything), { headers: usual() });
    await edge.readers(1);
    const startedAt = Date.now();
    await edge.stop();
    expect(Date.now() - startedAt).toBeLessThan(1_500);
    await opened.ended;
    expect(opened.events.map(({ event }) => event)).toEqual(['complete']);
  });
});
