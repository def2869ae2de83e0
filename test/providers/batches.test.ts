import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { batchesOf } from '../../src/providers/batches.ts';
import { builtInProviders } from '../../src/providers/catalog.ts';
import { changesOf } from '../contract/cases.ts';
import { openCore, type TestCore } from '../support/core.ts';
import { embeddedDatabase } from '../support/databases.ts';

const idsOf = (count: number) => Array.from({ length: count }, (_, i) => String(i));

describe('batchesOf', () => {
  it.each([
    ['quickbooks', 'Invoice', 45, [30, 15]],
    ['quickbooks', 'Invoice', 60, [30, 30]],
    ['slack', 'Team', 3, [1, 1, 1]],
    ['slack', 'User', 5, [1, 1, 1, 1, 1]],
    ['slack', 'User', 6, [6]],
    ['slack', 'Channel', 2, [2]],
    ['slack', 'Channel', 1_001, [1_000, 1]],
    ['slack', 'User', 0, []],
  ])('cuts, for %s, %s and %i ids, batches of %j', (id, resource, count, sizes) => {
    const { records } = builtInProviders.find((provider) => provider.id === id)!;
    const batches = batchesOf(records, resource, idsOf(count));
    expect(batches.map(({ length }) => length)).toEqual(sizes);
    expect(batches.flat()).toEqual(idsOf(count));
  });
});

describe('users of a Slack workspace', () => {
  let product: TestCore;
  beforeAll(async () => {
    product = await openCore(embeddedDatabase);
  });
  afterAll(() => product.close());

  it.each([
    [5, Array<string>(5).fill('users.info')],
    [6, ['users.list']],
  ])('are asked for in the cheaper way: %i at once by %j', async (count, methods) => {
    const account = `account-${count}`;
    const connection = await product.connected(account, {}, 'slack');
    const { changes } = await changesOf(product, connection, 'User');
    // One of them does not exist.
    const ids = [...changes.slice(0, count - 1).map((one) => one.externalId), 'U0NOBODY'];
    await product.admin('DELETE', 'requests');
    const { data, errors } = await product.query(
      `query ($id: ID!) { connection(id: $id) { ${ids
        .map((one, i) => `r${i}: record(resource: "User", externalId: "${one}") { externalId }`)
        .join(' ')} } }`,
      { id: connection.id },
      account,
    );
    expect(errors).toBeUndefined();
    const { connection: read } = data as { connection: Record<string, { externalId: string } | null> };
    expect(Object.values(read).map((one) => one?.externalId ?? null)).toEqual([...ids.slice(0, -1), null]);
    expect((await product.requests('/slack/api')).map(({ path }) => path.split('/').at(-1))).toEqual(methods);
  });
});
