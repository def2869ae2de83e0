import { randomUUID } from 'node:crypto';
import type { Insertable } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  findConnections,
  isUuid,
  listConnections,
  type Connection,
} from '../../src/connections/connection.ts';
import type { Database } from '../../src/db/database.ts';
import { toStored } from '../../src/db/problems.ts';
import type { Tables } from '../../src/db/tables.ts';
import { problem, type IntegrationProblem } from '../../src/errors.ts';
import { databaseKinds } from '../support/databases.ts';
import { manualClock } from '../support/manualClock.ts';

type ConnectionRow = Partial<Insertable<Tables['connections']>>;
type TokenRow = Partial<Insertable<Tables['oauth_tokens']>>;

const clock = manualClock();
const now = clock.now();
const at = (ms: number) => new Date(now + ms);
const day = 86_400_000;

/** What is stored. */
const stored = problem('PROVIDER_ERROR', 'They are down.', at(-5_000), { requestId: 'r1' });
const refreshing = problem('NETWORK_ERROR', 'Nobody answers.', at(-3_000), { retryAfterSeconds: 77 });
/** What is derived. */
const abandoned = (by: Date) =>
  problem('AUTHORIZATION_EXPIRED', 'Nobody completed the authorization: connect again.', by);
const endsOn = (date: string, occurredAt: Date) =>
  problem('REAUTHORIZATION_REQUIRED', `The authorization ends on ${date}: connect again before.`, occurredAt);
const endsTomorrow = endsOn('2026-01-06', at(-13 * day));

describe.each(databaseKinds)('connections as they are read, %s', (_kind, open) => {
  let database: Database;
  const statements: string[] = [];
  beforeAll(async () => {
    database = await open({ onQuery: (text) => void statements.push(text) });
  });
  afterAll(() => database.close());

  /** A connection, with a token where one is given; answers its id. */
  const add = async (row: ConnectionRow, token?: TokenRow): Promise<string> => {
    const ref = { account_id: row.account_id ?? 'acme', id: row.id ?? randomUUID() };
    await database.db
      .insertInto('connections')
      .values({ integration_id: `of ${ref.id}`, status: 'ACTIVE', ...row, ...ref })
      .execute();
    if (token)
      await database.db
        .insertInto('oauth_tokens')
        .values({
          ...{ account_id: ref.account_id, connection_id: ref.id, provider: `of ${ref.id}` },
          ...{ access_token_encrypted: Buffer.from('sealed'), issued_at: at(0), scopes: ['of the token'] },
          ...token,
        })
        .execute();
    return ref.id;
  };
  const find = (ids: readonly string[], accountId = 'acme') =>
    findConnections(database.forAccount(accountId), clock, accountId, ids);
  const found = async (row: ConnectionRow, token?: TokenRow): Promise<Connection> => {
    const id = await add(row, token);
    return (await find([id])).get(id)!;
  };

  const connection = {
    integration_id: 'quickbooks',
    external_id: 'realm 1',
    scopes: ['a', 'b'],
    generation: 3,
    created_at: at(-9 * day),
    connected_at: at(-8 * day),
    disconnected_at: at(-7 * day),
    checked_at: at(-6 * day),
  };
  const token = {
    issued_at: at(-5 * day),
    expires_at: at(1 * day),
    refresh_due_at: at(2 * day),
    refresh_token_expires_at: at(90 * day),
  };
  const seen = {
    accountId: 'acme',
    integrationId: 'quickbooks',
    status: 'ACTIVE',
    externalId: 'realm 1',
    scopes: ['a', 'b'],
    problem: null,
    generation: 3,
    createdAt: at(-9 * day),
    connectedAt: at(-8 * day),
    disconnectedAt: at(-7 * day),
    checkedAt: at(-6 * day),
    tokenExpiresAt: at(1 * day),
    tokenRefreshedAt: at(-5 * day),
    nextRefreshAt: at(2 * day),
    reauthorizeBy: at(90 * day),
  };

  it('have the members of their rows and of their token’s, and no other', async () => {
    const id = await add(connection, token);
    // An account that has the same rows under the same ids, an hour older.
    const hourOlder = <T extends object>(row: T) =>
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [
          name,
          value instanceof Date ? new Date(value.getTime() - 3_600_000) : (value as unknown),
        ]),
      );
    await add({ ...hourOlder(connection), account_id: 'rival', id }, hourOlder(token));
    expect((await find([id])).get(id)).toEqual({ ...seen, id });
    expect((await find([id], 'rival')).get(id)).toMatchObject({
      accountId: 'rival',
      tokenExpiresAt: at(1 * day - 3_600_000),
    });
  });

  it('have no times of a token where there is none, and the defaults of their row', async () => {
    expect(await found({ status: 'DISCONNECTED' })).toEqual({
      ...{ accountId: 'acme', id: expect.any(String) as string, status: 'DISCONNECTED' },
      integrationId: expect.stringMatching(/^of /) as string,
      ...{ externalId: null, scopes: [], problem: null, generation: 0 },
      createdAt: expect.any(Date) as Date,
      ...{ connectedAt: null, disconnectedAt: null, checkedAt: null },
      ...{ tokenExpiresAt: null, tokenRefreshedAt: null, nextRefreshAt: null, reauthorizeBy: null },
    });
  });

  it.each([
    ['before it was connected', -1, null],
    ['when it was connected', 0, null],
    ['after it was connected', 1, at(1)],
  ])('say when a token was refreshed: not by one that was issued %s', async (_when, ms, expected) => {
    const one = await found({ connected_at: at(0) }, { issued_at: at(ms) });
    expect(one.tokenRefreshedAt).toEqual(expected);
  });

  it('say of no token that it was refreshed where nothing was connected', async () => {
    expect(await found({ status: 'PENDING' }, { issued_at: at(1) })).toMatchObject({
      tokenRefreshedAt: null,
    });
  });

  it.each(['PENDING', 'NEEDS_REAUTHORIZATION', 'DISCONNECTED'] as const)(
    'are not refreshed while %s, though the token may have been due',
    async (status) => {
      expect(await found({ status }, token)).toMatchObject({
        ...{ status, nextRefreshAt: null, reauthorizeBy: at(90 * day), tokenExpiresAt: at(1 * day) },
        problem: null,
      });
    },
  );

  /** Everything that there could be to say. */
  const inTrouble: TokenRow = {
    refresh_problem: toStored(refreshing),
    refresh_retry_at: at(60_000),
    refresh_token_expires_at: at(1 * day),
  };
  const pending = (authorizeByMs: number | null): ConnectionRow => ({
    status: 'PENDING',
    authorize_by: authorizeByMs === null ? null : at(authorizeByMs),
  });

  const retryIn = (ms: number | null): TokenRow => ({
    refresh_problem: toStored(refreshing),
    refresh_retry_at: ms === null ? null : at(ms),
  });
  const after = (retryAfterSeconds: number): IntegrationProblem => ({ ...refreshing, retryAfterSeconds });
  const ending = (ms: number): TokenRow => ({ refresh_token_expires_at: at(ms) });

  it.each<[string, ConnectionRow, TokenRow | undefined, IntegrationProblem | null]>([
    ['an authorization that may still be completed', pending(1), undefined, null],
    ['one whose time is up', pending(0), undefined, abandoned(at(0))],
    ['one whose time has been up', pending(-day), undefined, abandoned(at(-day))],
    ['one without an end', pending(null), undefined, null],
    ['one that failed before it was up', { ...pending(1), problem: toStored(stored) }, undefined, stored],
    [
      'one that failed, and then was up',
      { ...pending(0), problem: toStored(stored) },
      undefined,
      abandoned(at(0)),
    ],
    ['one that is up, with a token in trouble', pending(-1), inTrouble, abandoned(at(-1))],
    ['one that may be completed, with a token in trouble', pending(1), inTrouble, null],
    ...(['ACTIVE', 'NEEDS_REAUTHORIZATION', 'DISCONNECTED'] as const).map(
      (status): [string, ConnectionRow, undefined, null] => [
        `one that was for a connection which is ${status}`,
        { status, authorize_by: at(-1) },
        undefined,
        null,
      ],
    ),
    ['what was stored, before what befell the token', { problem: toStored(stored) }, inTrouble, stored],
    [
      'what was stored of a grant that is over',
      { status: 'NEEDS_REAUTHORIZATION', problem: toStored(stored) },
      inTrouble,
      stored,
    ],
    ['nothing of the token of a grant that is over', { status: 'NEEDS_REAUTHORIZATION' }, inTrouble, null],
    ['nothing of the token of a connection that is over', { status: 'DISCONNECTED' }, inTrouble, null],
    ['a refresh that failed, before the end that is near', {}, inTrouble, after(60)],
    ['the rest of a second until it is tried again', {}, retryIn(1), after(1)],
    ['a whole second', {}, retryIn(1_000), after(1)],
    ['a second and a bit', {}, retryIn(1_001), after(2)],
    ['what the provider had said, when it is time to try again', {}, retryIn(0), after(77)],
    ['the same while it is tried', {}, retryIn(-1), after(77)],
    ['the same where no time was set', {}, retryIn(null), after(77)],
    ['nothing of a refresh that did not fail', {}, { refresh_retry_at: at(60_000) }, null],
    [
      'the end that is near, where a refresh that did not fail is due',
      {},
      { ...ending(day), refresh_retry_at: at(60_000) },
      endsTomorrow,
    ],
    ['an end in less than 14 days', {}, ending(day), endsTomorrow],
    ['an end in 14 days', {}, ending(14 * day), endsOn('2026-01-19', at(0))],
    ['no end in more than that', {}, ending(14 * day + 1), null],
    ['an end that has come', {}, ending(-1), endsOn('2026-01-05', at(-14 * day - 1))],
    ['no end of a token that has none', {}, {}, null],
  ])('tell of the most pressing problem: %s', async (_what, row, tokenRow, expected) => {
    const one = await found({ connected_at: at(-9 * day), ...row }, tokenRow);
    expect(one.problem).toEqual(expected);
    // A member that is undefined would be another thing to who stores it.
    expect(Object.keys(one.problem ?? {}).toSorted()).toEqual(Object.keys(expected ?? {}).toSorted());
  });

  it('are found by their ids, whatever the case, in one statement, and others are absent', async () => {
    const [one, two, unasked, foreign] = [
      await add({}),
      await add({}, {}),
      await add({}),
      await add({ account_id: 'rival' }),
    ];
    statements.length = 0;
    const answer = await find([
      ...[two.toUpperCase(), foreign, randomUUID(), 'nothing', '', `${unasked} `, `x${unasked}`],
      ...[one, one, `{${unasked}}`, unasked.replaceAll('-', '')],
    ]);
    expect([...answer.keys()].toSorted()).toEqual([one, two].toSorted());
    for (const [id, connection] of answer) expect(connection).toMatchObject({ id, accountId: 'acme' });
    expect(statements).toHaveLength(1);
  });

  it('are found as another account’s are not', async () => {
    const id = await add({ account_id: 'rival' });
    expect((await find([id], 'rival')).size).toBe(1);
    expect((await find([id], 'Rival')).size).toBe(0);
    // Nor where no wall stands.
    expect((await findConnections(database.db, clock, 'acme', [id])).size).toBe(0);
  });

  it.each([[[]], [['nothing', "' or true --"]]])(
    'cost no statement where no id can be one: %j',
    async (ids) => {
      statements.length = 0;
      expect(await find(ids)).toEqual(new Map());
      expect(statements).toEqual([]);
    },
  );

  it('are listed in one statement, the newest first, and of one moment by their ids', async () => {
    const accountId = 'lister';
    const of = (n: number) => `0000000${n}-0000-4000-8000-000000000000`;
    for (const [n, ms] of [
      [3, -2],
      [1, -3],
      [5, -2],
      [4, -1],
      [2, -2],
    ] as const)
      await add({ account_id: accountId, id: of(n), created_at: at(ms) }, n === 4 ? token : undefined);
    await add({ account_id: 'lister 2' });
    for (const db of [database.forAccount(accountId), database.db]) {
      statements.length = 0;
      const list = await listConnections(db, clock, accountId);
      expect(statements).toHaveLength(1);
      expect(list.map(({ id }) => id)).toEqual([4, 2, 3, 5, 1].map(of));
      expect(list[0]).toEqual((await find([of(4)], accountId)).get(of(4)));
      expect(list.map(({ tokenExpiresAt }) => tokenExpiresAt)).toEqual([at(day), null, null, null, null]);
    }
    expect(await listConnections(database.forAccount('nobody'), clock, 'nobody')).toEqual([]);
  });
});

describe('an id', () => {
  const id = '0f9a4b7c-1234-4abc-8def-00123456789A';
  it.each([id, id.toLowerCase(), id.toUpperCase(), '00000000-0000-0000-0000-000000000000'])(
    'is one: %s',
    (text) => {
      expect(isUuid(text)).toBe(true);
    },
  );
  it.each([
    ...['', ' ', `${id} `, ` ${id}`, `${id}\n`, `{${id}}`, `${id}0`, `0${id}`, id.slice(1), id.slice(0, -1)],
    ...[id.replaceAll('-', ''), id.replaceAll('-', '_'), id.replace('9a', '9g'), id.replace('1234', '123g')],
    ...[id.replace('A', 'G'), id.replace('-1234', ''), id.replace('-1234', '-1234-1234')],
    ...[id.replace('-1234', '-12345'), id.replace('-1234', '-123'), id.replace('0f9a', '٠f9a')],
  ])('is none: %j', (text) => {
    expect(isUuid(text)).toBe(false);
  });
});
