import { readFileSync } from 'node:fs';
import { graphql, Kind, parse, print, visit, type DocumentNode } from 'graphql';
import { describe, expect, it } from 'vitest';
import { createSchema } from '../../resolvers/index.ts';
import { composers, type Subgraph } from './composers.ts';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
const subgraph = (name: string, text: string): Subgraph => ({ name, typeDefs: parse(text) });

const integrations = subgraph('integrations', read('../../schema.graphql'));
const accountsText = read('accounts.graphql');
const accounts = subgraph('accounts', accountsText);
const freight = subgraph('freight', read('freight.graphql'));

/** Every one differs from `accounts.graphql` in one line. */
const incompatible: [title: string, from: string, to: string][] = [
  [
    'an account id of another type',
    'type Account @key(fields: "id") {\n  id: ID!',
    'type Account @key(fields: "id") {\n  id: Int!',
  ],
  ['a PageInfo that it does not share', 'type PageInfo @shareable {', 'type PageInfo {'],
  ['a root field of the same name', '  account(id: ID!): Account\n', '  connection(id: ID!): Account\n'],
];

function fieldsOf(supergraph: DocumentNode | undefined, typeName: string): string[] {
  const names: string[] = [];
  visit(supergraph!, {
    [Kind.OBJECT_TYPE_DEFINITION]: (type) => {
      if (type.name.value === typeName) names.push(...(type.fields ?? []).map((field) => field.name.value));
    },
  });
  return names.toSorted();
}

describe.each(Object.entries(composers))('a supergraph by %s', (_, compose) => {
  it('holds the schema alone', () => {
    const { errors, hints } = compose([integrations]);
    expect(errors).toEqual([]);
    expect(hints).toEqual([]);
  });

  it('takes what `_service` answers for the same schema', async () => {
    const served = await graphql({ schema: createSchema(), source: '{ _service { sdl } }' });
    const { sdl } = served.data!._service as { sdl: string };
    const others = [accounts, freight];
    const { errors, hints, supergraph } = compose([subgraph('integrations', sdl), ...others]);
    expect(errors).toEqual([]);
    expect(hints).toEqual([]);
    // The scalars that federation's own directives take are served too; WunderGraph's composer lets them through.
    const withoutFederation = print(supergraph!).replaceAll(/^scalar federation__\w+\n+/gm, '');
    expect(withoutFederation).toBe(print(compose([integrations, ...others]).supergraph!));
  });

  it('joins connections to the accounts of another subgraph', () => {
    const { errors, hints, supergraph } = compose([integrations, accounts]);
    expect(errors).toEqual([]);
    expect(hints).toEqual([]);
    expect(fieldsOf(supergraph, 'Account')).toEqual(['connection', 'connections', 'id', 'name']);
    expect(fieldsOf(supergraph, 'Query')).toEqual([
      'account',
      'accounts',
      'connection',
      'connections',
      'integration',
      'integrations',
    ]);
  });

  it('lets a third subgraph refer to records by their id', () => {
    const { errors, hints, supergraph } = compose([integrations, accounts, freight]);
    expect(errors).toEqual([]);
    expect(hints).toEqual([]);
    expect(fieldsOf(supergraph, 'Load')).toEqual(['id', 'invoice']);
    expect(fieldsOf(supergraph, 'ExternalRecord')).toContain('payload');
  });

  it.each(incompatible)('is refused with a subgraph that has %s', (_title, from, to) => {
    expect(accountsText).toContain(from);
    const { errors, supergraph } = compose([
      integrations,
      subgraph('accounts', accountsText.replace(from, to)),
    ]);
    expect(errors).not.toEqual([]);
    expect(supergraph).toBeUndefined();
  });
});
