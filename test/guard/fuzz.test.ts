import { isInputObjectType, parse, print, visit } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSchema } from '../../resolvers/index.ts';
import { embeddedDatabase, migratedPostgresUrl } from '../support/databases.ts';
import { randomDocuments } from '../support/fuzz/documents.ts';
import { fuzz } from '../support/fuzz/fuzz.ts';
import { errorLines, judge } from '../support/fuzz/judge.ts';
import { sequence } from '../support/fuzz/values.ts';
import { openEdge, type Edge, type TestAccount } from '../subscriptions/support.ts';
import { transports } from './transports.ts';

/** See test/chaos for twenty times as many. */
describe.each(['embedded', 'postgres'] as const)(
  'five hundred random documents with hostile values, %s',
  (kind) => {
    let database: { url: string; drop(): Promise<void> } | undefined;
    beforeAll(async () => {
      database = kind === 'postgres' ? await migratedPostgresUrl() : undefined;
    });
    afterAll(() => database?.drop());

    it(
      'are all answered, over every transport, and with nothing that only we should know',
      { timeout: 180_000 },
      async () => {
        const {
          faults,
          errorLines: logged,
          ...report
        } = await fuzz({
          ...{ documents: 150, seed: kind === 'embedded' ? 3 : 4 },
          ...(database && { databaseUrl: database.url }),
        });
        expect(faults).toEqual([]);
        expect(logged).toEqual([]);
        expect(report.lived).toBe(true);
        // It has asked for what there is, and been refused what is wrong.
        expect(report.good).toBeGreaterThan(75);
        expect(Object.keys(report.answers)).toHaveLength(5);
        expect(Object.keys(report.codes)).toContain('BAD_USER_INPUT');
      },
    );
  },
);

describe('random documents', () => {
  it('have every type, field and argument of the schema in them, and every directive', () => {
    const schema = createSchema();
    const known = {
      connections: ['a'],
      accounts: ['a'],
      integrations: ['quickbooks'],
      resources: ['Invoice'],
      cursors: [],
      returnTo: '',
    };
    const next = randomDocuments(schema, known, sequence(1));
    const found = new Set<string>();
    const texts = Array.from({ length: 1_500 }, () => next().query);
    for (const text of texts)
      visit(parse(text), {
        Field(node) {
          found.add(node.name.value);
          for (const { name } of node.arguments ?? []) found.add(`${node.name.value}(${name.value})`);
        },
        ObjectField: ({ name }) => void found.add(name.value),
        VariableDefinition: ({ type }) => void found.add(print(type).replace(/[![\]]/g, '')),
      });
    const missing: string[] = [];
    for (const type of Object.values(schema.getTypeMap())) {
      if (type.name.startsWith('__') || !('getFields' in type)) continue;
      const names = Object.keys(type.getFields());
      if (isInputObjectType(type) && ![type.name, ...names].some((name) => found.has(name)))
        missing.push(type.name);
      for (const [name, field] of Object.entries(type.getFields())) {
        // What stands in a variable alone is not in the text.
        if (!isInputObjectType(type) && !found.has(name)) missing.push(`${type.name}.${name}`);
        for (const given of 'args' in field ? field.args : [])
          if (!found.has(`${name}(${given.name})`)) missing.push(`${type.name}.${name}(${given.name})`);
      }
    }
    expect(missing).toEqual([]);
    const all = texts.join('\n');
    for (const part of ['fragment F', '... on ', ' @skip', ' @include(if: $v', 'a1: ', '$v1', '__schema'])
      expect(all).toContain(part);
  });
});

describe('the judge of answers', () => {
  const error = (message: string, code = 'BAD_USER_INPUT') =>
    JSON.stringify({ errors: [{ message, extensions: { code } }] });

  it.each<[string, string]>([
    ['what is no JSON', '<html>'],
    ['an answer that was cut', '{"data":{'],
    ['a masked defect', error('Something went wrong on our side.', 'INTERNAL_SERVER_ERROR')],
    ['a stack', JSON.stringify({ errors: [{ message: 'x', extensions: { stacktrace: [] } }] })],
    ['a stack in a text', error('Error: x\n    at run (file:///app/src/server.ts:10:3)')],
    ['words of PostgreSQL', error('invalid byte sequence for encoding "UTF8": 0x00')],
    ['words of a constraint', error('duplicate key value violates unique constraint "connections_pkey"')],
    ['a statement', error('Failed query: select * from connections where id = $1')],
    ['words of JavaScript', error("Cannot read properties of undefined (reading 'id')")],
    ['words of the network', error('connect ECONNREFUSED 127.0.0.1:5432')],
    ['words of a provider', error('AuthenticationFailed; errorCode=003200')],
    [
      'a problem that says too much',
      JSON.stringify({ data: { refresh: { problem: { message: 'TypeError: x', code: 'TIMEOUT' } } } }),
    ],
    ['an id of another account', JSON.stringify({ data: { connections: [{ id: 'foreign' }] } })],
  ])('finds %s', (_, text) => expect(judge(text, '{}', ['foreign']).faults).not.toEqual([]));

  it.each<[string, string]>([
    ['an answer', JSON.stringify({ data: { connections: [{ id: 'own' }] } })],
    ['a refusal', error('first: must be from 1 to 100.')],
    ['what was sent, said again', error('You have no delivery with the id foreign.', 'NOT_FOUND')],
    ['what a provider stores', JSON.stringify({ data: { record: { payload: { message: 'TypeError' } } } })],
  ])('lets %s pass', (_, text) => expect(judge(text, 'foreign', ['foreign']).faults).toEqual([]));

  it('finds what was logged of an error, and what was printed beside the log', () => {
    const lines = [
      '{"level":"info","msg":"ready"}',
      '{"level":"error","msg":"x"}',
      '    at run (x.ts:1:1)',
      'TypeError: x',
    ];
    expect(
      errorLines([...lines, '{"level":"warn","msg":"x"}', '  GraphQL   http://localhost'].join('\n')),
    ).toEqual(lines.slice(1));
  });
});

describe('a defect that is planted', () => {
  let edge: Edge;
  let acme: TestAccount;
  beforeAll(async () => {
    const schema = createSchema();
    schema.getType('Connection');
    const { externalId } = (
      schema.getType('Connection') as { getFields(): Record<string, { resolve?: unknown }> }
    ).getFields();
    externalId!.resolve = () => {
      throw new Error('the password hunter2 of postgres://owner@db');
    };
    edge = await openEdge(embeddedDatabase, { schema });
    acme = await edge.account('acme');
  });
  afterAll(() => edge?.close());

  it.each(Object.entries(transports))('is found over %s, and its text stays inside', async (_, send) => {
    const answer = await send(
      edge,
      { query: '{ connections { id externalId } }' },
      { authorization: acme.authorization },
    );
    const text = JSON.stringify(answer);
    expect(judge(text, '').faults).toEqual(['INTERNAL_SERVER_ERROR']);
    expect(text).not.toMatch(/hunter2|postgres/);
  });
});
