import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { embeddedDatabase } from '../support/databases.ts';
import { openEdge, type Edge, type Result, type TestAccount } from '../subscriptions/support.ts';
import { hostile, megabyte } from './hostile.ts';
import { transports, type Answered } from './transports.ts';

let edge: Edge;
let acme: TestAccount;
beforeAll(async () => {
  edge = await openEdge(embeddedDatabase);
  acme = await edge.account('acme');
});
afterAll(() => edge?.close());

const longestMessage = 128 * 1024;

describe.each(Object.entries(transports))('over %s', (transport, send) => {
  const refusedWith = (code: string, message: unknown): Answered => ({
    how: transport === 'WebSocket' ? 'error' : 400,
    errors: [{ message: message as string, extensions: { code } }],
  });

  it.each([...hostile, megabyte])('$title is refused before anything runs', async ({ names, body }) => {
    const isTooLong = transport === 'WebSocket' && JSON.stringify(body).length > longestMessage;
    const message: unknown = expect.stringMatching(names);
    edge.product.statements.length = 0;
    expect(await send(edge, body, { authorization: acme.authorization })).toEqual(
      isTooLong ? { how: 1009, errors: [] } : refusedWith('OPERATION_TOO_COMPLEX', message),
    );
    expect(edge.product.statements.filter((sql) => sql.includes('connections'))).toEqual([]);
  });

  it.each(['syncEvents @skip(if: true) { id }', 'syncEvents @include(if: $v) { id }'])(
    'a subscription that may leave its field out is refused: %s',
    async (field) => {
      const body = { query: `subscription ($v: Boolean! = false) { ${field} }` };
      expect(await send(edge, body, { authorization: acme.authorization })).toMatchObject(
        refusedWith('GRAPHQL_VALIDATION_FAILED', expect.stringContaining('@skip and @include')),
      );
    },
  );

  it('an array of requests is refused', async () => {
    const message: unknown = expect.any(String);
    // graphql-transport-ws closes for a message that is none.
    expect(
      await send(edge, [{ query: '{ connections { id } }' }], { authorization: acme.authorization }),
    ).toEqual(transport === 'WebSocket' ? { how: 4400, errors: [] } : refusedWith('BAD_REQUEST', message));
  });
});

describe('a GET', () => {
  it('is held to the same limits', async () => {
    const search = new URLSearchParams({ query: `{ ${'__typename '.repeat(100)}}` });
    const answer = await fetch(`${edge.url}/graphql?${search.toString()}`, {
      headers: { authorization: acme.authorization, 'apollo-require-preflight': '1' },
    });
    expect(answer.status).toBe(400);
    expect(((await answer.json()) as Result).errors![0]!.message).toContain('50 root fields');
  });
});

describe('a hash instead of a text', () => {
  it('is not supported: the guard would not see what it stands for', async () => {
    const body = { extensions: { persistedQuery: { version: 1, sha256Hash: 'a'.repeat(64) } } };
    const answer = await edge.post(body, { authorization: acme.authorization });
    const { errors } = (await answer.json()) as Result;
    expect(errors![0]!.extensions.code).toBe('PERSISTED_QUERY_NOT_SUPPORTED');
  });
});
