import { execute, getIntrospectionQuery, getOperationAST, parse, type ExecutionResult } from 'graphql';
import { compileQuery } from 'graphql-jit';
import { describe, expect, it } from 'vitest';
import { createSchema } from '../../resolvers/index.ts';
import { systemClock } from '../../src/clock.ts';
import { createCompiledQueries } from '../../src/execution/compiledQueries.ts';
import { isCompilable } from '../../src/execution/compilable.ts';
import { createExecute } from '../../src/execution/executor.ts';
import { manualClock } from '../support/manualClock.ts';
import { randomDocuments, type RandomDocument } from '../support/fuzz/documents.ts';
import { sequence } from '../support/fuzz/values.ts';
import { createChaosSchema, known, type Chaos } from './chaos.ts';

const schema = createChaosSchema();
type Operation = Pick<RandomDocument, 'query' | 'variables' | 'operationName'>;

/** What leaves; the order of `data` and `errors` means nothing. */
const sent = ({ data, errors }: ExecutionResult) => JSON.stringify({ data, errors });

/** By graphql-js alone, and by what executes: the first time by graphql-js, then compiled. */
function both() {
  let again = 0;
  const run = createExecute<Chaos>(schema, () => void again++, systemClock, { atExecution: 2, restMs: 0 });
  return {
    async ask({ query, variables, operationName }: Operation, seed: number, faults: number) {
      const document = parse(query);
      const context = (): Chaos => ({ seed, faults, ran: 0 });
      const given = { document, operationName, variables };
      const operation = getOperationAST(document, operationName) ?? undefined;
      const answers: string[] = [];
      const before = again;
      for (let i = 0; i < 3; i++)
        answers.push(sent(await run({ ...given, operation, contextValue: context() })));
      const alone = execute({
        ...{ schema, document, operationName, variableValues: variables, contextValue: context() },
      });
      return { answers: [...new Set(answers)], alone: sent(await alone), again: again - before };
    },
  };
}

const isCompiled = ({ query, operationName }: Operation) => {
  const document = parse(query);
  return isCompilable(document, getOperationAST(document, operationName)!);
};
/** Two in three without conditions, which are left to graphql-js. */
const drafts = [0, 0, 0.08].map((conditions, i) =>
  randomDocuments(schema, known, sequence(i + 1), {
    ...{ conditions, misfits: i === 2, kinds: { query: 0.97, mutation: 0.03, subscription: 0 } },
  }),
);
const operations: Operation[] = Array.from({ length: 330 }, (_, i) => drafts[i % drafts.length]!());

describe('an operation that is asked often', () => {
  it.each([
    ['nothing fails', 0, 0],
    ['one field in thirty fails', 3, 20],
    ['one field in five fails', 20, 50],
  ])('is answered to the letter as graphql-js does where %s', async (_, faults, mostlyFailing) => {
    const { ask } = both();
    let failed = 0;
    for (const [seed, operation] of operations.entries()) {
      const { answers, alone, again } = await ask(operation, seed, faults);
      expect({ ...operation, answers }).toEqual({ ...operation, answers: [alone] });
      if (again > 0) failed++;
    }
    expect(operations.filter(isCompiled).length).toBeGreaterThan(100);
    expect(failed).toBeGreaterThanOrEqual(mostlyFailing);
  });

  it('is answered alike where its variables do not fit, and nothing of it runs', async () => {
    const { ask } = both();
    const query = 'query ($id: ID!, $n: Int) { connection(id: $id) { events(first: $n) { nodes { id } } } }';
    for (const variables of [{}, { id: null }, { id: {} }, { id: 'a', n: 'many' }, { id: 'a', n: 1e12 }]) {
      const { answers, alone } = await ask({ query, variables }, 1, 0);
      expect(answers).toEqual([alone]);
      expect(alone).toContain('Variable');
    }
  });

  it('is answered alike where it asks for the schema', async () => {
    const { ask } = both();
    const { answers, alone } = await ask({ query: getIntrospectionQuery(), variables: {} }, 1, 0);
    expect(answers).toEqual([alone]);
  });
});

/** Why each is left to graphql-js: otherwise compiled code answers something else, though nothing fails. */
describe('a query is not compiled', () => {
  const refused: [string, Operation][] = [
    [
      'with a directive',
      {
        query:
          'query ($no: Boolean!) { a: integrations { ...F } integrations @skip(if: $no) { ...F } } fragment F on Integration { name @include(if: $no) name }',
        variables: { no: false },
      },
    ],
    [
      'with a variable in a list',
      {
        query: 'query ($s: ConnectionStatus) { connections(status: [ACTIVE, $s]) { id } }',
        variables: { s: 'PENDING' },
      },
    ],
    [
      'with an object',
      {
        query:
          '{ _entities(representations: [{ __typename: "Account", id: "a", __proto__: { id: "b" } }]) { __typename } }',
        variables: {},
      },
    ],
    [
      'with a default for a variable that may not be null',
      { query: 'query ($id: ID! = "a") { connection(id: $id) { id } }', variables: {} },
    ],
    [
      'with an underscore in an alias',
      { query: '{ connection_a: integrations { id } a: integrations { id } }', variables: {} },
    ],
    [
      'with an alias that is no name of an own member',
      { query: '{ __proto__: integrations { id } }', variables: {} },
    ],
    [
      'with more than 200 fields, fragments spread',
      {
        query: `{ integrations { ${'...F '.repeat(50)} } } fragment F on Integration { id name auth scopes }`,
        variables: {},
      },
    ],
  ];
  it.each(refused)('%s', async (_, operation) => {
    expect(isCompiled(operation)).toBe(false);
    const { answers, alone } = await both().ask(operation, 3, 0);
    expect(answers).toEqual([alone]);
  });
});

describe('compiled code', () => {
  it('is kept for the two hundred that were asked last', () => {
    const compiled = createCompiledQueries(schema, systemClock, { atExecution: 10, restMs: 0 });
    const texts = Array.from({ length: 230 }, (_, i) => `{ integrations { id } } # ${i}`);
    const documents = texts.map((text) => parse(text));
    const find = (i: number) => compiled.find(documents[i]!, getOperationAST(documents[i]!)!);
    const makeSure = (i: number) => {
      for (let n = 0; n < 10; n++) find(i);
    };
    for (const i of texts.keys()) {
      makeSure(i);
      expect(find(0)).toBeDefined();
    }
    expect(compiled.size()).toBe(200);
    expect(find(1)).toBeUndefined();
    expect(find(229)).toBeDefined();
  });

  it('is made at the tenth execution, and never of mutations', () => {
    const compiled = createCompiledQueries(schema, systemClock, { atExecution: 10, restMs: 0 });
    const found = (query: string) => {
      const document = parse(query);
      const operation = getOperationAST(document)!;
      return Array.from({ length: 11 }, () => compiled.find(document, operation) !== undefined);
    };
    expect(found('{ integrations { id } }')).toEqual([...Array.from({ length: 9 }, () => false), true, true]);
    const mutation = 'mutation { refresh(input: { connectionId: "a" }) { connection { id } } }';
    expect(found(mutation)).not.toContain(true);
  });

  it('is made of few fields only, in a time that others can wait', () => {
    const product = createSchema();
    const fields = 'id status externalId scopes createdAt problem { code message } integration { id name }';
    const some = Array.from({ length: 12 }, (_, i) => `a${i}: connections { ${fields} account { id } }`);
    const document = parse(`{ ${some.join(' ')} }`);
    expect(isCompilable(document, getOperationAST(document)!)).toBe(true);
    const cpuOf = () => {
      const before = process.cpuUsage();
      compileQuery(product, document, '');
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1_000;
    };
    expect(Math.min(cpuOf(), cpuOf(), cpuOf())).toBeLessThan(50);
  });

  it('is made with rests in between, however many texts there are', async () => {
    const clock = manualClock();
    const compiled = createCompiledQueries(schema, clock, { atExecution: 1, restMs: 100 });
    const documents = Array.from({ length: 5 }, (_, i) => parse(`{ integrations { id } } # ${i}`));
    const found = () =>
      documents.filter((document) => compiled.find(document, getOperationAST(document)!)).length;
    expect([found(), found()]).toEqual([1, 1]);
    await clock.advance(100);
    expect([found(), found()]).toEqual([2, 2]);
  });
});

/**
 * graphql-jit writes literals into the code that it makes, and takes some texts there for code: `__MAGIC_DATE__…` becomes
 * `new Date(…)` of whatever follows. So no text of a document may reach it.
 */
describe('what a document says in a string', () => {
  const magic = '__MAGIC_DATE__33a9e76d_02e0_4128_8e92_3530ad3da74d';
  const code = 'globalThis.hasRun=true';
  const escaped = magic.replaceAll('_', '\\u005f');
  it.each([
    ['an argument', `{ connection(id: "${magic}${code}") { id } }`],
    ['a list', `{ _entities(representations: ["${magic}${code}"]) { __typename } }`],
    ['an object', `{ _entities(representations: [{ id: "${magic}${code}" }]) { __typename } }`],
    ['a block string', `{ connection(id: """${magic}${code}""") { id } }`],
    ['escapes', `{ connection(id: "${escaped}${code}") { id } }`],
    [
      'the default of a variable',
      `query ($id: ID = "${magic}${code}") { connections(integrationId: $id) { id } }`,
    ],
    ['a nested argument', `{ connections { record(resource: "${magic}${code}", externalId: "1") { id } } }`],
  ])('is never run: in %s', async (_, query) => {
    expect(isCompiled({ query, variables: {} })).toBe(false);
    const { answers, alone } = await both().ask({ query, variables: {} }, 1, 0);
    expect(answers).toEqual([alone]);
    expect(globalThis).not.toHaveProperty('hasRun');
  });

  it('would be run, were it compiled: which this test would notice', () => {
    const document = parse(`{ connection(id: "${magic}${code}") { id } }`);
    const made = compileQuery(schema, document, '');
    if ('query' in made) void made.query(undefined, { seed: 1, faults: 0, ran: 0 }, {});
    expect(globalThis).toHaveProperty('hasRun');
    Reflect.deleteProperty(globalThis, 'hasRun');
  });

  it('is never run: in a variable, of a query that is compiled', async () => {
    const query = 'query ($id: ID!) { connection(id: $id) { id } }';
    const variables = { id: `${magic}${code}` };
    expect(isCompiled({ query, variables })).toBe(true);
    const { answers, alone } = await both().ask({ query, variables }, 1, 0);
    expect(answers).toEqual([alone]);
    expect(globalThis).not.toHaveProperty('hasRun');
  });
});
