import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeCursor } from '../../src/db/pages.ts';
import { openCore, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';

describe.each(databaseKinds)('an argument, %s', (_kind, open) => {
  let product: TestCore;
  beforeAll(async () => {
    product = await openCore(open);
    await product.connected('acme');
  });
  afterAll(() => product?.close());

  const records = (argument: string, type: string, value: unknown) =>
    product.query(
      `query ($value: ${type}) { connections { records(resource: "Invoice", ${argument}: $value) { nodes { id } } } }`,
      { value },
    );

  it.each(['1 \0', '0 a\0b'])('that is a cursor with a NUL in it is none: %j', async (position) => {
    const { errors } = await records('after', 'String', encodeCursor(position));
    expect(errors?.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
  });

  it.each([
    '0000-01-01T00:00:00Z',
    '0001-01-01T00:00:00+00:01',
    '9999-12-31T23:59:59.999-00:01',
    '2026-13-01T00:00:00Z',
  ])('that is a moment which no database has is refused: %s', async (moment) => {
    const { data, errors } = await records('updatedAfter', 'DateTime', moment);
    expect(data).toBeUndefined();
    expect(errors?.[0]?.message).toContain('DateTime must be');
  });

  it.each(['0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999999999Z'])(
    'that is a moment at the edge of what there is is taken: %s',
    async (moment) => expect((await records('updatedAfter', 'DateTime', moment)).errors).toBeUndefined(),
  );
});
