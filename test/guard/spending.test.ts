import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSchema } from '../../resolvers/index.ts';
import { createGuard } from '../../src/guard/guard.ts';
import { createSpending } from '../../src/guard/spending.ts';
import { embeddedDatabase } from '../support/databases.ts';
import { manualClock } from '../support/manualClock.ts';
import { openEdge, type Edge, type Result, type TestAccount } from '../subscriptions/support.ts';
import { transports } from './transports.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

describe('what an account may spend', () => {
  it('is five seconds of its points at once, and from then on what comes in', async () => {
    const clock = manualClock();
    const spending = createSpending(100, clock);
    for (let i = 0; i < 10; i++) expect(spending.charge('acme', 50)).toBeUndefined();
    const refused = spending.charge('acme', 1)!;
    expect(refused.message).toContain('100 points of cost a second');
    expect(refused.extensions).toEqual({ code: 'RATE_LIMITED', retryAfterSeconds: 1 });
    expect(spending.charge('rival', 50)).toBeUndefined();
    await clock.advance(500);
    expect(spending.charge('acme', 50)).toBeUndefined();
    expect(spending.charge('acme', 50)).toBeDefined();
  });

  it('is any one operation, however large, and nothing until that is paid', async () => {
    const clock = manualClock();
    const spending = createSpending(10, clock);
    expect(spending.charge('acme', 20_000)).toBeUndefined();
    expect(spending.charge('acme', 1)?.extensions.retryAfterSeconds).toBe(1_995);
    await clock.advance(1_994_000);
    expect(spending.charge('acme', 1)?.extensions.retryAfterSeconds).toBe(1);
    await clock.advance(1_001);
    expect(spending.charge('acme', 1)).toBeUndefined();
  });

  it('is everything where no bound is set', () => {
    const spending = createSpending(0, manualClock());
    for (let i = 0; i < 1_000; i++) expect(spending.charge('acme', 20_000)).toBeUndefined();
  });

  it('is what a bucket with the same points gives, whoever asks for how much at whatever time', async () => {
    const step = fc.record({
      account: fc.constantFrom('a', 'b', 'c'),
      points: fc.integer({ min: 1, max: 3_000 }),
      afterMs: fc.integer({ min: 0, max: 4_000 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const clock = manualClock();
        const spending = createSpending(1_000, clock);
        const buckets = new Map<string, { points: number; at: number }>();
        for (const { account, points, afterMs } of steps) {
          await clock.advance(afterMs);
          const now = clock.monotonic();
          const bucket = buckets.get(account) ?? { points: 5_000, at: now };
          bucket.points = Math.min(5_000, bucket.points + (now - bucket.at));
          bucket.at = now;
          buckets.set(account, bucket);
          const isGiven = bucket.points > 1e-6;
          if (isGiven) bucket.points -= points;
          expect(spending.charge(account, points) === undefined).toBe(isGiven);
        }
      }),
      { seed: 20261129, numRuns: 200 },
    );
  });

  it('is forgotten of who owes nothing: a million accounts leave nothing behind', async () => {
    const clock = manualClock();
    const spending = createSpending(1_000, clock);
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 1_000_000; i++) {
      spending.charge(`an account with quite a long name, the ${i}th of them`, 10);
      // Each owes for ten milliseconds: some hundred at any time.
      if (i % 1_000 === 0) await clock.advance(100);
    }
    // A million names and times would be more than 150 MiB.
    collectGarbage();
    expect((process.memoryUsage().heapUsed - before) / 2 ** 20).toBeLessThan(50);
    expect(spending.charge('acme', 10)).toBeUndefined();
  });
});

describe.each(Object.entries(transports))('over %s', (transport, send) => {
  let edge: Edge;
  let acme: TestAccount;
  let rival: TestAccount;
  beforeAll(async () => {
    edge = await openEdge(embeddedDatabase, { costPerSecond: 10 });
    [acme, rival] = [await edge.account('acme'), await edge.account('rival')];
  });
  afterAll(() => edge?.close());
  const body = { query: '{ connections { events(first: 100) { nodes { id } } } }' };
  const asked = () => edge.product.statements.filter((sql) => sql.includes('connections'));

  it('an account that has spent its points is refused before anything runs, by every transport, and no other is', async () => {
    const { authorization } = acme;
    expect((await send(edge, body, { authorization })).errors).toEqual([]);
    for (const [name, other] of Object.entries(transports)) {
      edge.product.statements.length = 0;
      const { how, errors, data } = await other(edge, body, { authorization });
      expect([name, how]).toEqual([name, name === 'WebSocket' ? 'error' : 429]);
      expect(errors.map(({ extensions }) => extensions.code)).toEqual(['RATE_LIMITED']);
      // Of 1,020 points 50 were saved up.
      expect(errors[0]!.extensions.retryAfterSeconds).toBeGreaterThan(60);
      expect(errors[0]!.extensions.retryAfterSeconds).toBeLessThanOrEqual(97);
      expect(data ?? null).toBeNull();
      expect(asked()).toEqual([]);
    }
    expect((await send(edge, body, { authorization: rival.authorization })).errors).toEqual([]);
    expect(asked()).not.toEqual([]);
  });

  it('the answer over HTTP says in its header when to come again', async () => {
    const path = transport === 'server-sent events' ? '/graphql/stream' : '/graphql';
    const accept = transport === 'callbacks' ? 'application/json;callbackSpec=1.0' : '*/*';
    const answer = await edge.post(body, { authorization: acme.authorization, accept }, path);
    expect(answer.status).toBe(429);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(60);
    await answer.text();
  });
});

describe('a text that is wrong', () => {
  const guard = createGuard(createSchema(), {
    hidesSchema: true,
    spending: createSpending(100, manualClock()),
  });
  const wrong = `{ ${'nothing '.repeat(25)}}`;

  it('costs its length each time, and is not even read of an account that has spent all', () => {
    const codeOf = () => {
      const found = guard.document(wrong, 'acme');
      return 'kind' in found ? 'fine' : found[0]!.extensions.code;
    };
    expect([codeOf(), codeOf(), codeOf(), codeOf()]).toEqual([
      ...Array.from({ length: 3 }, () => 'GRAPHQL_VALIDATION_FAILED'),
      'RATE_LIMITED',
    ]);
    expect(guard.overLimit({ query: wrong }, 'acme')?.extensions.code).toBe('RATE_LIMITED');
    expect(guard.overLimit({ query: wrong }, 'rival')).toBeUndefined();
  });
});

describe('what an operation costs its account', () => {
  let edge: Edge;
  beforeAll(async () => {
    edge = await openEdge(embeddedDatabase, { costPerSecond: 1 });
  });
  afterAll(() => edge?.close());
  const nothing = { query: '{ __typename }' };

  it.each<[string, object, number]>([
    [
      'each representation of _entities',
      {
        query: 'query ($r: [_Any!]!) { _entities(representations: $r) { ... on Connection { id } } }',
        variables: { r: Array.from({ length: 500 }, () => ({ __typename: 'Connection', id: 'x' })) },
      },
      500,
    ],
    [
      'the page that its variables ask for',
      {
        query: 'query ($n: Int = 100) { connection(id: "x") { events(first: $n) { nodes { id } } } }',
        variables: { n: 70 },
      },
      72,
    ],
    [
      'a subscription when it is started',
      {
        query: `subscription { syncEvents { ${Array.from({ length: 40 }, (_, i) => `a${i}: connection { id } `).join('')} } }`,
      },
      41,
    ],
  ])('is %s', async (title, body, points) => {
    const { authorization } = await edge.account(title);
    await (await edge.post(body, { authorization })).text();
    const { errors } = (await (await edge.post(nothing, { authorization })).json()) as Result;
    // Five were saved up, and one comes each second.
    const owed = errors![0]!.extensions.retryAfterSeconds as number;
    expect(owed).toBeLessThanOrEqual(points - 5);
    expect(owed).toBeGreaterThan(points - 5 - 30);
  });

  it('is a point where the schema has none', async () => {
    const { authorization } = await edge.account('curious');
    const ask = async () => (await edge.post(nothing, { authorization })).status;
    const statuses = await Promise.all(Array.from({ length: 100 }, ask));
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(5);
    expect(statuses).toContain(429);
  });
});
