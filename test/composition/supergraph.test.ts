import { readFileSync } from 'node:fs';
import { parse, print, visit } from 'graphql';
import { format, resolveConfig } from 'prettier';
import { expect, it } from 'vitest';
import { composers } from './composers.ts';

const read = (path: string) => parse(readFileSync(new URL(path, import.meta.url), 'utf8'));

it('the supergraph is the golden one; `npm test -- test/composition/supergraph.test.ts -u` writes it anew', async () => {
  const { errors, supergraph } = composers['@apollo/composition']!([
    { name: 'accounts', typeDefs: read('accounts.graphql') },
    { name: 'freight', typeDefs: read('freight.graphql') },
    { name: 'integrations', typeDefs: read('../../schema.graphql') },
  ]);
  expect(errors).toEqual([]);
  // What the descriptions say is schema.graphql's alone.
  const bare = visit(supergraph!, {
    enter: (node) => ('description' in node ? { ...node, description: undefined } : undefined),
  });
  const golden = new URL('supergraph.graphql', import.meta.url);
  const options = await resolveConfig(golden);
  await expect(await format(print(bare), { ...options, parser: 'graphql' })).toMatchFileSnapshot(
    './supergraph.graphql',
  );
});
