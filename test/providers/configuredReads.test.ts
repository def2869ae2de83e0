import { describe, expect, it } from 'vitest';
import { timeIn } from '../../src/providers/configured/requests.ts';
import { answer, describedWith as provider } from '../support/described.ts';

const target = { apiUrl: 'https://api.acme.example/v1', externalId: 'team 1/x' };

describe('a read', () => {
  const resources = {
    Customer: {
      path: '/teams/{accountId}/customers/{id}?full=1',
      recordPath: 'data.0',
      idPath: 'meta.id',
      updatedAtPath: 'meta.at',
      batch: { path: '/customers?ids={ids}', size: 3, itemsPath: 'data' },
    },
    Note: { list: { path: '/notes' } },
  };
  const api = {
    baseUrl: 'https://api.acme.example/v1',
    headers: { 'X-Team': '{accountId}', Accept: 'application/vnd.acme+json' },
    defaultQuery: { version: '7', full: '0' },
  };
  const { records, identity } = provider({ resources, api });
  const snapshots = (body: unknown, ids: string[]) => [
    ...records.parse(answer(body), 'Customer', ids).values(),
  ];

  it('fills in ids so that they lead nowhere else', () => {
    const request = records.request(target, 'Customer', ['a/../b?c#d']);
    expect(request).toMatchObject({
      method: 'GET',
      url: 'https://api.acme.example/v1/teams/team%201%2Fx/customers/a%2F..%2Fb%3Fc%23d?full=1&version=7',
      headers: { accept: 'application/vnd.acme+json', 'x-team': 'team 1/x' },
    });
    for (const id of ['..', '.', '', 'a/b', 'a b', 'a%2f', '\u0000', 'ä', 'x'.repeat(129)])
      expect([id, records.idPattern.test(id)]).toEqual([id, false]);
    for (const id of ['1', '0-a_B.c:d@e', '...'])
      expect([id, records.idPattern.test(id)]).toEqual([id, true]);
  });

  it('asks for several at once where that is described', () => {
    expect(records).toMatchObject({ batchSize: 1, batchSizes: { Customer: 3 }, only: ['Customer'] });
    expect(records.request(target, 'Customer', ['1', '2']).url).toBe(
      'https://api.acme.example/v1/customers?ids=1%2C2&version=7&full=0',
    );
  });

  it('finds records where they are, and takes none for another', () => {
    const one = (id: unknown, at?: unknown) => ({ meta: { id, at }, name: 'x' });
    expect(snapshots({ data: [one('1', '2026-11-01T10:00:00Z')] }, ['1'])).toEqual([
      {
        externalId: '1',
        payload: one('1', '2026-11-01T10:00:00Z'),
        updatedAt: new Date('2026-11-01T10:00:00Z'),
      },
    ]);
    expect(snapshots({ data: [one(1)] }, ['1'])).toMatchObject([{ externalId: '1', updatedAt: null }]);
    expect(snapshots({ data: [{ name: 'x' }] }, ['1'])).toMatchObject([{ externalId: '1' }]);
    expect(snapshots({ data: [one('2')] }, ['1'])).toEqual([]);
    expect(snapshots({ data: [one(2 ** 60)] }, [String(2 ** 60)])).toEqual([]);
    for (const body of [{}, { data: [] }, { data: [null] }, { data: ['1'] }, [], null, 'x'])
      expect(snapshots(body, ['1'])).toEqual([]);
    const several = { data: [one('2'), one('9'), one(1), {}, null] };
    expect(snapshots(several, ['1', '2']).map(({ externalId }) => externalId)).toEqual(['2', '1']);
  });

  it('leaves out a header that needs the account before that is known', () => {
    const before = identity!.request({ ...target, externalId: '' });
    expect(before.headers).not.toHaveProperty('x-team');
    expect(before.url).toBe('https://api.acme.example/v1/me?version=7&full=0');
  });

  it('takes what is no JSON for trouble of the provider, not for a record that is gone', () => {
    const { classify } = provider();
    expect(classify(answer('<html>Sign in</html>'), 0)).toMatchObject({ code: 'PROVIDER_ERROR' });
    expect(classify(answer(''), 0)).toMatchObject({ code: 'PROVIDER_ERROR' });
    expect(classify(answer('null'), 0)).toBeUndefined();
    expect(classify(answer('{}', {}, 404), 0)).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('knows the usual forms of time', () => {
    const at = new Date('2026-11-01T10:00:00Z');
    const forms = [at.toISOString(), at.getTime(), at.getTime() / 1_000, String(at.getTime() / 1_000)];
    forms.push(`/Date(${at.getTime()}+0000)/`, '2026-11-01T11:00:00.000+0100');
    for (const form of forms) expect([form, timeIn(form)]).toEqual([form, at]);
    for (const none of [null, undefined, '', 'yesterday', '120', 0, -1, NaN, Infinity, {}, [], true])
      expect([none, timeIn(none)]).toEqual([none, null]);
  });
});

describe('the profile', () => {
  const parse = (profile: object, body: unknown, externalId = '') =>
    provider({ profile: { path: '/me', ...profile } }).identity!.parse(answer(body), {
      ...target,
      externalId,
    });

  it('is where the description says', () => {
    const profile = { recordPath: 'data', idPath: 'gid', namePath: 'names.0', urlPath: 'link' };
    const body = { data: { gid: 7, names: ['Ann'], link: 'https://acme.example/ann' } };
    expect(parse(profile, body)).toEqual({ id: '7', name: 'Ann', url: 'https://acme.example/ann' });
    expect(parse(profile, { data: { gid: 7, link: 'javascript:alert(1)' } })).toEqual({
      id: '7',
      name: null,
      url: null,
    });
    for (const nobody of [
      {},
      { data: null },
      { data: {} },
      { data: { gid: '' } },
      { data: { gid: '..' } },
      [],
    ])
      expect(parse(profile, nobody).id).toBe('');
  });

  it('of several accounts is the connected one, or else the first', () => {
    const body = [
      { id: 'a', name: 'A' },
      { id: 'b', name: 'B' },
    ];
    const profile = { idPath: 'id', namePath: 'name' };
    expect(parse(profile, body)).toMatchObject({ id: 'a' });
    expect(parse(profile, body, 'b')).toMatchObject({ id: 'b', name: 'B' });
    expect(parse(profile, [])).toMatchObject({ id: '' });
  });
});
