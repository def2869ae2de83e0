import { describe, expect, it } from 'vitest';
import { sign, verify } from '../../src/webhooks/verify.ts';
import { describedWith as provider } from '../support/described.ts';

describe('a webhook', () => {
  const facts = (webhook: object) =>
    provider({ resources: { Note: { path: '/n/{id}' } }, webhook: { secretOf: 'connection', ...webhook } })
      .webhook!;
  const bytes = (body: object) => Buffer.from(JSON.stringify(body));

  it('is verified by the published vectors', () => {
    const at = (seconds: number) => seconds * 1_000;
    const github = facts({ verifier: { scheme: 'github' } }).scheme;
    const digest = '757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';
    const hello = {
      headers: { 'x-hub-signature-256': `sha256=${digest}` },
      body: Buffer.from('Hello, World!'),
    };
    expect(verify(github, ["It's a Secret to Everybody"], hello, 0)).toMatchObject({ verified: true });
    // The same by its parts.
    const verifier = { scheme: 'hmac', header: 'X-Hub-Signature-256', prefix: 'sha256=' };
    expect(verify(facts({ verifier }).scheme, ["It's a Secret to Everybody"], hello, 0)).toMatchObject({
      verified: true,
    });

    const stripe = facts({ verifier: { scheme: 'stripe' } }).scheme;
    const v1 = 'c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925';
    const event = {
      headers: { 'stripe-signature': `t=1700000000,v1=${v1}` },
      body: Buffer.from('{"id":"evt_1"}'),
    };
    expect(verify(stripe, ['whsec_test'], event, at(1_700_000_000))).toMatchObject({ verified: true });

    const standard = facts({ verifier: { scheme: 'standard' } }).scheme;
    const message = {
      headers: {
        'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
        'webhook-timestamp': '1614265330',
        'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
      },
      body: Buffer.from('{"test": 2432232314}'),
    };
    const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    expect(verify(standard, [secret], message, at(1_614_265_330))).toMatchObject({ verified: true });
  });

  it.each<[{ toleranceSec?: number; timestampHeader?: string; [member: string]: unknown }]>([
    [{}],
    [{ prefix: 'v1=', algo: 'sha512', encoding: 'base64' }],
    [{ secretEncoding: 'base64', algo: 'sha1' }],
    [{ signedTemplate: 'v0:{ts}:{body}', timestampHeader: 'X-Time', toleranceSec: 60 }],
    [{ signedTemplate: '{id}.{ts}.{body}', timestampHeader: 'x-time', idHeader: 'X-Id' }],
  ])('is verified as it is described: %j', (more) => {
    const { scheme } = facts({ verifier: { scheme: 'hmac', header: 'X-Signature', ...more } });
    const secret = Buffer.from('a secret of thirty-two characters').toString('base64');
    const body = bytes({ a: 1 });
    const headers = sign(scheme, secret, body, { timestamp: 1_000, id: 'd1' });
    const judged = (nowMs: number, changed = body) =>
      verify(scheme, [secret], { headers, body: changed }, nowMs);
    expect(judged(1_000_000)).toMatchObject({ verified: true });
    expect(judged(1_000_000, bytes({ a: 2 }))).toMatchObject({ verified: false });
    const late = judged(1_000_000 + (more.toleranceSec ?? 300) * 1_000 + 1_000);
    expect(late.verified).toBe(more.timestampHeader === undefined);
  });

  it('says which record of whom has changed', () => {
    const { parse, secretOf } = facts({
      verifier: { scheme: 'github' },
      secretOf: 'application',
      tenantIdPath: 'account.id',
      eventIdPath: 'id',
      timePath: 'at',
      typePath: 'type',
      events: [
        { type: 'note.changed', resource: 'Note', idPath: 'data.id' },
        { type: 'note.deleted', resource: 'Note', idPath: 'data.id', deleted: true },
      ],
    });
    expect(secretOf).toBe('application');
    const told = (type: string, more: object = {}) =>
      parse(bytes({ id: 'e1', at: 1_793_527_200, type, account: { id: 7 }, data: { id: 42 }, ...more }), [])
        .notices;
    const notice = {
      ...{ account: '7', eventId: 'e1', occurredAt: new Date('2026-11-01T10:00:00Z') },
      ...{ kind: 'record', resource: 'Note', externalId: '42' },
    };
    expect(told('note.changed')).toEqual([{ ...notice, change: 'UPSERTED' }]);
    expect(told('note.deleted')).toEqual([{ ...notice, change: 'DELETED' }]);
    expect(told('other')).toEqual([]);
    expect(told('note.changed', { data: {} })).toEqual([]);
    expect(() => told('note.changed', { account: {} })).toThrow('does not name an account');
    expect(() => parse(Buffer.from('x'), [])).toThrow('not JSON');
  });

  it('says that something has changed where it does not say what', () => {
    const { parse } = facts({ verifier: { scheme: 'github' } });
    const body = bytes({ hello: 1 });
    const [notice] = parse(body, []).notices;
    expect(notice).toMatchObject({ kind: 'missed', account: null, occurredAt: null });
    expect(parse(body, []).notices[0]!.eventId).toBe(notice!.eventId);
    expect(parse(bytes({ hello: 2 }), []).notices[0]!.eventId).not.toBe(notice!.eventId);
  });

  it('may tell of several events, each with an id of its own', () => {
    const { parse } = facts({
      verifier: { scheme: 'github' },
      itemsPath: 'events',
      tenantIdPath: 'tenant',
      typePath: 'kind',
      events: [{ type: 'N', resource: 'Note', idPath: 'id' }],
    });
    const event = (tenant: string, id: string) => ({ tenant, kind: 'N', id });
    const { notices } = parse(bytes({ events: [event('a', '1'), event('b', '1')] }), []);
    expect(notices.map(({ account }) => account)).toEqual(['a', 'b']);
    expect(new Set(notices.map(({ eventId }) => eventId)).size).toBe(2);
  });
});
