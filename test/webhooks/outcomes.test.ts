import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createWebhookSecrets } from '../../src/connections/webhookSecrets.ts';
import type { Database } from '../../src/db/database.ts';
import { createLog } from '../../src/log.ts';
import { createAccountKeys } from '../../src/oauth/accountKeys.ts';
import { parseMasterKeys } from '../../src/oauth/encryption.ts';
import { createCatalog, type ConfiguredProvider } from '../../src/providers/catalog.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';
import {
  githubScheme,
  intuitScheme,
  slackScheme,
  type SignatureScheme,
} from '../../src/providers/signatures.ts';
import { slack } from '../../src/providers/slack.ts';
import { createReceiver, type Receiver } from '../../src/webhooks/receive.ts';
import { sign } from '../../src/webhooks/verify.ts';
import { databaseKinds } from '../support/databases.ts';
import { describedWith } from '../support/described.ts';
import { cloudEvents } from '../support/webhooks.ts';

const secret = 'the-secret-of-all';
const { webhook } = quickbooks;
const named = { ...githubScheme, header: 'x-signature', idHeader: 'x-delivery' };

const careless = { kind: 'record', account: '99', occurredAt: null, change: 'UPSERTED' } as const;

const integrations: ConfiguredProvider['provider'][] = [
  quickbooks,
  slack,
  describedWith({ id: 'silent' }),
  { ...quickbooks, id: 'unset' },
  { ...quickbooks, id: 'named', webhook: { ...webhook!, scheme: named } },
  {
    ...quickbooks,
    id: 'careless',
    webhook: {
      ...webhook!,
      parse: () => ({
        notices: [
          { ...careless, eventId: '1', resource: 'Nonsense', externalId: '41' },
          { ...careless, eventId: '2', resource: 'Invoice', externalId: '4 1' },
          { ...careless, eventId: '3', resource: 'Invoice', externalId: '42' },
          { ...careless, eventId: '4', account: null, resource: 'Invoice', externalId: '43' },
        ],
      }),
    },
  },
  {
    ...quickbooks,
    id: 'broken',
    webhook: {
      ...webhook!,
      parse: () => {
        throw new TypeError('our own fault');
      },
    },
  },
];

describe.each(databaseKinds)('a receiver of webhooks, %s', (_kind, open) => {
  let database: Database;
  let receiver: Receiver;
  let outcomes: [integrationId: string, outcome: string, count: number][];
  let logged: string;
  beforeAll(async () => {
    database = await open();
    receiver = receiverOn(database);
  });
  afterAll(() => database.close());
  beforeEach(() => {
    outcomes = [];
    logged = '';
  });
  afterEach(() => database.db.deleteFrom('webhook_deliveries').execute());

  const receiverOn = ({ db }: Database) => {
    const clock = systemClock;
    const keys = createAccountKeys(parseMasterKeys(`test:${Buffer.alloc(32, 7).toString('base64')}`), clock);
    return createReceiver({
      ...{ db, clock },
      log: createLog('info', { write: (line: string) => void (logged += line) }),
      secrets: createWebhookSecrets({ db, keys, clock }),
      catalog: createCatalog(
        integrations.map((provider) => ({
          ...{ provider, endpoints: provider.endpoints!, limits: [] },
          credentials: { clientId: 'id', clientSecret: 'secret' },
          webhookSecrets: provider.id === 'unset' ? [] : [secret],
        })),
      ),
      onReceived: (...outcome) => void outcomes.push(outcome),
    });
  };

  const json = { 'content-type': 'application/json' };
  const send = (
    integrationId: string,
    content: unknown,
    {
      scheme = intuitScheme,
      headers = {},
      ...more
    }: {
      scheme?: SignatureScheme;
      headers?: Record<string, string | undefined>;
      connectionId?: string;
      id?: string;
      to?: Receiver;
    } = {},
  ) => {
    const body = Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
    const timestamp = Math.floor(Date.now() / 1_000);
    const { id = '', to = receiver, ...where } = more;
    const signed = sign(scheme, secret, body, { timestamp, id });
    return to.receive({ integrationId, ...where, headers: { ...json, ...signed, ...headers }, body });
  };
  const told = (more: Partial<Parameters<typeof cloudEvents>[0][number]> = {}) =>
    cloudEvents([{ id: 'e1', realm: '99', entity: 'invoice', externalId: '41', ...more }]);
  const stored = async () =>
    (
      await database.db
        .selectFrom('webhook_deliveries')
        .select(['event_id', 'account_external_id', 'notice'])
        .orderBy('arrival')
        .execute()
    ).map((row) => ({ id: row.event_id, account: row.account_external_id, notice: row.notice }));
  const sorted = (list: typeof outcomes) =>
    list.toSorted((one, other) => one.join().localeCompare(other.join()));
  const ok = { status: 200, body: {} };
  const lines = () =>
    logged
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  it('stores what is told, and says so', async () => {
    expect(await send('quickbooks', told())).toEqual(ok);
    expect(outcomes).toEqual([['quickbooks', 'stored', 1]]);
    expect(await stored()).toEqual([
      {
        id: expect.stringContaining('e1') as string,
        account: '99',
        notice: {
          ...{ kind: 'record', resource: 'Invoice', externalId: '41', change: 'UPSERTED' },
          occurredAt: '2026-01-05T12:00:00.000Z',
        },
      },
    ]);
    expect(lines()).toEqual([]);
  });

  it('counts what it knew already, for each integration alone', async () => {
    const both = () =>
      Promise.all([send('quickbooks', told()), send('named', told(), { scheme: named, id: 'd1' })]);
    await both();
    expect(sorted(outcomes)).toEqual([
      ['named', 'stored', 1],
      ['quickbooks', 'stored', 1],
    ]);
    await both();
    expect(sorted(outcomes.slice(2))).toEqual([
      ['named', 'duplicate', 1],
      ['named', 'stored', 1],
      ['quickbooks', 'duplicate', 1],
      ['quickbooks', 'stored', 1],
    ]);
    outcomes.length = 0;
    await send('quickbooks', [...told(), ...told({ id: 'e2' }), ...told({ id: 'e3', realm: '98' })]);
    expect(outcomes).toEqual([
      ['quickbooks', 'duplicate', 1],
      ['quickbooks', 'stored', 1],
    ]);
    expect(await stored()).toHaveLength(4);
  });

  it('has no address for what is not set up, and for what sends none', async () => {
    expect(await send('nobody', told())).toEqual({
      status: 404,
      body: { error: 'There is no such integration.' },
    });
    expect(outcomes).toEqual([]);
    expect(await send('silent', told())).toEqual({
      status: 404,
      body: { error: 'This integration sends no webhooks.' },
    });
    expect(outcomes).toEqual([['silent', 'refused', 1]]);
  });

  it.each([
    [{ 'content-type': undefined }],
    [{ 'content-type': 'text/json' }],
    [{ 'content-type': 'text/plain, application/json' }],
    [{ 'content-type': 'application/jsonp' }],
    [{ 'content-type': 'application/+json' }],
    [{ 'content-type': 'application/json, text/html' }],
    [{ 'content-encoding': 'gzip' }],
    [{ 'content-encoding': 'identity, gzip' }],
    [{ 'content-encoding': 'x-identity' }],
  ])('refuses another type: %j', async (headers) => {
    expect(await send('quickbooks', told(), { headers })).toEqual({
      status: 415,
      body: { error: 'The content type must be application/json.' },
    });
    expect(outcomes).toEqual([['quickbooks', 'wrong type', 1]]);
    expect(await stored()).toEqual([]);
  });

  it.each([
    [{ 'content-type': 'Application/JSON; charset=utf-8' }],
    [{ 'content-type': 'application/json ;charset=utf-8' }],
    [{ 'content-type': 'application/cloudevents-batch+json' }],
    [{ 'content-encoding': 'Identity' }],
  ])('takes any JSON: %j', async (headers) => {
    expect(await send('quickbooks', told(), { headers })).toEqual(ok);
  });

  it.each([
    ['quickbooks', 'no signature', { headers: { 'intuit-signature': undefined } }],
    ['quickbooks', 'wrong signature', { headers: sign(intuitScheme, 'another', Buffer.from('x')) }],
    ['unset', 'no secret', {}],
    // The secret is the integration's: it says nothing of a connection.
    ['quickbooks', 'no secret', { connectionId: '00000000-0000-4000-8000-000000000000' }],
  ])('refuses %s for %s, which only the log is told', async (integrationId, reason, more) => {
    expect(await send(integrationId, told(), more)).toEqual({
      status: 401,
      body: { error: 'The signature does not verify.' },
    });
    expect(outcomes).toEqual([[integrationId, 'refused', 1]]);
    expect(lines()).toMatchObject([{ integrationId, reason, msg: 'a webhook was refused' }]);
    expect(await stored()).toEqual([]);
  });

  it('tells the sender what it cannot read, and the log only what is our own fault', async () => {
    expect(await send('quickbooks', 'no JSON')).toEqual({
      status: 400,
      body: { error: 'The body is not JSON.' },
    });
    expect(lines()).toEqual([]);
    expect(await send('broken', told())).toEqual({
      status: 400,
      body: { error: 'The body cannot be read.' },
    });
    expect(lines()).toMatchObject([
      { integrationId: 'broken', err: { message: 'our own fault' }, msg: 'a webhook could not be read' },
    ]);
    expect(outcomes).toEqual([
      ['quickbooks', 'unreadable', 1],
      ['broken', 'unreadable', 1],
    ]);
  });

  it('answers a challenge, and stores nothing of it', async () => {
    const asked = { type: 'url_verification', challenge: 'abc' };
    expect(await send('slack', asked, { scheme: slackScheme })).toEqual({
      status: 200,
      body: { challenge: 'abc' },
    });
    expect(outcomes).toEqual([['slack', 'challenge', 1]]);
    expect(await stored()).toEqual([]);
  });

  it('knows a request by the name that its sender gives it, and what else it says by its place', async () => {
    const two = [...told(), ...told({ id: 'e2', externalId: '42' })];
    expect(await send('named', two, { scheme: named, id: 'd1' })).toEqual(ok);
    expect((await stored()).map(({ id }) => id)).toEqual(['d1', 'd1 1']);
    outcomes.length = 0;
    // Sent again, in other words.
    await send('named', told({ id: 'e3', externalId: '43' }), { scheme: named, id: 'd1' });
    expect(outcomes[0]).toEqual(['named', 'duplicate', 1]);
    expect(await stored()).toHaveLength(2);
  });

  it('keeps of what Slack ends whose it is, and of what it held back when', async () => {
    const say = (event: object, id: string) =>
      send(
        'slack',
        { type: 'event_callback', team_id: 'T1', event_id: id, event_time: 1_700_000_000, event },
        { scheme: slackScheme },
      );
    const users = Array.from({ length: 1_001 }, (_, i) => `U${i}`);
    await say({ type: 'app_uninstalled' }, 'Ev1');
    await say({ type: 'tokens_revoked', tokens: { bot: ['', 'x\0', ...users] } }, 'Ev2');
    await send(
      'slack',
      { type: 'app_rate_limited', team_id: 'T1', minute_rate_limited: 1_700_000_040 },
      { scheme: slackScheme },
    );
    const occurredAt = '2023-11-14T22:13:20.000Z';
    expect((await stored()).map(({ notice }) => notice)).toEqual([
      { kind: 'revoked', occurredAt, users: null },
      { kind: 'revoked', occurredAt, users: users.slice(0, 1_000) },
      { kind: 'missed', occurredAt: '2023-11-14T22:14:00.000Z' },
    ]);
  });

  it('stores nothing of what cannot be asked for, or could not be stored', async () => {
    const none = [
      told({ externalId: '' }),
      told({ externalId: 'x y' }),
      told({ externalId: '41\0' }),
      told({ realm: '\0' }),
      told({ realm: '\ud800' }),
      told({ realm: '9'.repeat(257) }),
    ];
    for (const one of none) expect(await send('quickbooks', one)).toEqual(ok);
    expect(outcomes).toEqual(none.map(() => ['quickbooks', 'nothing', 1]));
    expect(await stored()).toEqual([]);
    await send('quickbooks', told({ realm: '9'.repeat(256) }));
    expect((await stored()).map(({ account }) => account)).toEqual(['9'.repeat(256)]);
  });

  it('stores nothing that its provider’s file should not have let through', async () => {
    expect(await send('careless', told())).toEqual(ok);
    const invoice = { kind: 'record', occurredAt: null, resource: 'Invoice', change: 'UPSERTED' };
    expect(await stored()).toEqual([
      { id: '3', account: '99', notice: { ...invoice, externalId: '42' } },
      { id: '4', account: null, notice: { ...invoice, externalId: '43' } },
    ]);
  });

  it('keeps a hash of an event’s name that is too long', async () => {
    const id = 'x'.repeat(300);
    await send('quickbooks', told({ id }));
    const name = JSON.stringify([id, told()[0]!.source]);
    expect((await stored())[0]!.id).toBe(createHash('sha256').update(name).digest('hex'));
  });

  it('asks to come again while the database does not take it', async () => {
    const away = await open();
    await away.close();
    expect(await send('quickbooks', told(), { to: receiverOn(away) })).toEqual({
      ...{ status: 503, retryAfterSeconds: 5 },
      body: { error: 'This cannot be stored at present: please send it again.' },
    });
    expect(outcomes).toEqual([['quickbooks', 'unavailable', 1]]);
    expect(lines()).toMatchObject([
      {
        integrationId: 'quickbooks',
        err: { message: expect.stringMatching(/destroyed|closed|end/) as string },
        msg: 'a webhook could not be stored',
      },
    ]);
  });
});
