import { describe, expect, it } from 'vitest';
import {
  isForeignPage,
  presentedCredentials,
  presentedHeaders,
} from '../../src/subscriptions/credentials.ts';

const nothing = {
  ...{ authorization: undefined, accountHeader: undefined, userHeader: undefined, routerSecret: undefined },
  remoteAddress: '127.0.0.1',
};
const presented = (params: unknown, headers: Record<string, unknown> = {}) =>
  presentedCredentials(headers, params, '127.0.0.1');

describe('credentials', () => {
  it('are kept of an upgrade’s headers, and nothing else is', () => {
    const kept = {
      ...{ authorization: 'Bearer a', 'x-account-id': 'acme', 'x-user-id': 'me', origin: 'http://localhost' },
    };
    expect(presentedHeaders({ ...kept, cookie: 'sid=1', host: 'x' })).toEqual(kept);
  });

  it.each([
    ['flat', { Authorization: 'Bearer a' }],
    ['under headers', { headers: { authorization: 'Bearer a' } }],
    ['once more, flat', { connectionParams: { AUTHORIZATION: 'Bearer a' } }],
    ['once more, under headers', { connectionParams: { headers: { authorization: 'Bearer a' } } }],
    ['twice the same', { authorization: 'Bearer a', headers: { authorization: 'Bearer a' } }],
  ])('are found %s', (_, params) => {
    expect(presented(params)).toEqual({ ...nothing, authorization: 'Bearer a' });
  });

  it('are found in headers, each by its name', () => {
    const headers = { authorization: 'Bearer a', 'x-account-id': 'acme', 'x-user-id': 'me', cookie: 7 };
    expect(presented(undefined, headers)).toEqual({
      ...{ ...nothing, authorization: 'Bearer a', accountHeader: 'acme', userHeader: 'me' },
    });
  });

  it.each([[undefined], [null], ['text'], [{}], [{ authorization: null }], [{ connectionParams: 'text' }]])(
    'are none in %j',
    (params) => {
      expect(presented(params)).toEqual(nothing);
    },
  );

  it.each([
    [{ authorization: 'Bearer a' }, { authorization: 'Bearer b' }],
    [{ authorization: 'Bearer a', headers: { Authorization: 'Bearer b' } }, {}],
    [{ 'x-account-id': 7 }, {}],
    [{ headers: { authorization: ['Bearer a'] } }, {}],
  ])('are refused where %j and headers %j say different things, or no text', (params, headers) => {
    expect(presented(params, headers)).toBeUndefined();
  });
});

describe('a page', () => {
  it.each(['http://localhost:3000', 'https://localhost', 'http://127.0.0.1:8080', 'http://[::1]:3000'])(
    'of this machine is none of another site: %s',
    (origin) => {
      expect(isForeignPage(origin)).toBe(false);
    },
  );

  it.each(['https://app.example', 'http://localhost.example', 'http://10.0.0.1', 'null', '', 'http://[::2]'])(
    'of another site: %j',
    (origin) => {
      expect(isForeignPage(origin)).toBe(true);
    },
  );

  it('is none where no browser says so', () => {
    expect(isForeignPage(undefined)).toBe(false);
    expect(isForeignPage(['http://app.example'])).toBe(false);
  });
});
