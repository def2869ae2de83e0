import { parse, type OperationDefinitionNode } from 'graphql';
import { describe, expect, it } from 'vitest';
import { createSchema } from '../../resolvers/index.ts';
import { createDocuments } from '../../src/guard/documents.ts';
import { usualLimits } from '../../src/guard/limits.ts';
import { createSeats } from '../../src/subscriptions/seats.ts';
import { createGroups, startVariables } from '../../src/subscriptions/sharing.ts';
import { systemClock } from '../../src/clock.ts';

const schema = createSchema();

describe('documents', () => {
  it('are parsed once for all who send the same text', () => {
    const documents = createDocuments(schema, false, usualLimits);
    expect(documents('{ connections { id } }')).toBe(documents('{ connections { id } }'));
  });

  it('are forgotten when a thousand others were asked for since', () => {
    const documents = createDocuments(schema, false, usualLimits);
    const [first, second] = [documents('{ a: __typename }'), documents('{ b: __typename }')];
    for (let i = 0; i < 999; i++) {
      documents(`{ c${i}: __typename }`);
      documents('{ a: __typename }');
    }
    expect(documents('{ a: __typename }')).toBe(first);
    expect(documents('{ b: __typename }')).not.toBe(second);
  });

  it('hide the schema where they are told to', () => {
    const query = '{ conections { id } }';
    const told = (hides: boolean, text: string) =>
      JSON.stringify(createDocuments(schema, hides, usualLimits)(text));
    expect(told(false, query)).toContain('Did you mean');
    expect(told(true, query)).not.toContain('Did you mean');
    expect(told(true, '{ __schema { queryType { name } } }')).toContain('introspection');
    expect(told(false, '{ __schema { queryType { name } } }')).not.toContain('introspection');
  });
});

describe('a subscription', () => {
  const read = createDocuments(schema, false, usualLimits);

  it.each([
    'subscription { syncEvents @skip(if: true) { id } }',
    'subscription ($no: Boolean!) { syncEvents @include(if: $no) { id } }',
    'subscription { ... @include(if: false) { syncEvents { id } } }',
    'subscription { ...F } fragment F on Subscription { ...G @skip(if: true) } fragment G on Subscription { syncEvents { id } }',
  ])('that may leave its field out is refused: %s', (query) => {
    const found = read(query);
    expect('kind' in found ? [] : found.map(({ extensions }) => extensions.code)).toEqual([
      'GRAPHQL_VALIDATION_FAILED',
    ]);
  });

  it('may leave out what is within its field', () =>
    expect(
      'kind' in
        read('subscription { ...F } fragment F on Subscription { syncEvents { id @skip(if: true) kind } }'),
    ).toBe(true));
});

describe('the variables that only say where to start', () => {
  const of = (query: string) => {
    const document = parse(query);
    return [...startVariables(document, document.definitions[0] as OperationDefinitionNode)];
  };

  it.each([
    ['subscription ($a: String) { syncEvents(after: $a) { id } }', ['a']],
    ['subscription ($a: String) { syncEvents(resource: $a) { id } }', []],
    ['subscription { syncEvents(after: "x") { id } }', []],
    [
      'subscription ($a: String) { syncEvents(after: $a) { connection { events(after: $a) { nodes { id } } } } }',
      [],
    ],
    [
      'subscription ($a: String) { syncEvents(after: $a) { ...F } } fragment F on SyncEvent { connection { events(after: $a) { nodes { id } } } }',
      [],
    ],
  ])('of %s', (query, names) => expect(of(query)).toEqual(names));
});

describe('a group', () => {
  it('makes each answer once, and again when a moment has passed', async () => {
    let now = 0;
    let made = 0;
    const join = createGroups<number>({ ...systemClock, monotonic: () => now });
    const [first, second, other] = [join('key'), join('key'), join('another key')];
    const make = () => Promise.resolve(++made);
    expect(await first.answer('event 1', make)).toBe(1);
    expect(await second.answer('event 1', make)).toBe(1);
    expect(await second.answer('event 2', make)).toBe(2);
    expect(await other.answer('event 1', make)).toBe(3);
    now = 1_001;
    expect(await second.answer('event 1', make)).toBe(4);
    first.leave();
    first.leave();
    expect(await second.answer('event 1', make)).toBe(4);
    second.leave();
    expect(await join('key').answer('event 1', make)).toBe(5);
  });
});

describe('seats', () => {
  it('are bounded in all and for each account, and free again once left', () => {
    const seats = createSeats({ perAccount: 2, total: 4 });
    const [first, second, third] = [seats.take()!, seats.take()!, seats.take()!];
    expect([first, second, third].map((seat) => seat.assign('acme'))).toEqual([true, true, false]);
    third.leave();
    third.leave();
    first.leave();
    expect(seats.take()!.assign('acme')).toBe(true);
    expect(seats.take()!.assign('rival')).toBe(true);
    expect(seats.take()).toBeDefined();
    expect(seats.take()).toBeUndefined();
  });

  it('are a quarter for who has not said who they are, a tenth for one address, and the others’ all the same', () => {
    const seats = createSeats({ perAccount: 2_000, total: 2_000 });
    const at = (address: string) =>
      Array.from({ length: 1_000 }, () => seats.take(address)).filter((seat) => seat !== undefined);
    const first = at('192.0.2.1');
    expect([first, at('192.0.2.2'), at('192.0.2.3')].map((taken) => taken.length)).toEqual([200, 200, 100]);
    expect(seats.take('192.0.2.4')).toBeUndefined();
    expect(seats.take()?.assign('acme')).toBe(true);
    // Who says who it is makes room, as does who goes; neither does so twice.
    expect(first[0]!.assign('acme')).toBe(true);
    first[0]!.leave();
    first[1]!.leave();
    first[1]!.leave();
    expect(at('192.0.2.1')).toHaveLength(2);
    expect(at('192.0.2.4')).toHaveLength(0);
  });
});
