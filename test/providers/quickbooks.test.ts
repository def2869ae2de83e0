import { describe, expect, it } from 'vitest';
import type { HttpResponse } from '../../src/calls/http.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';

const answer = (status: number, body: unknown, headers: Record<string, string> = {}): HttpResponse => ({
  status,
  headers,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
const judge = (status: number, body: unknown, headers?: Record<string, string>) =>
  quickbooks.classify(answer(status, body, headers), 0);

const canary = 'eyJhbGciOiJkaXIi-canary';
/** As the service itself writes faults. */
const service = (code: string, type = 'ValidationFault') => ({
  Fault: { Error: [{ Message: 'Something', Detail: `about ${canary}`, code, element: '' }], type },
  time: '2026-01-05T04:00:00.000-08:00',
});
/** As the gateway in front of it does; real captures. */
const gateway = (code: string, name: string, status: number, type = 'AUTHENTICATION') => ({
  warnings: null,
  intuitObject: null,
  fault: {
    error: [
      {
        message: `message=${name}; errorCode=00${code}; statusCode=${status}`,
        detail: `Token expired: ${canary}`,
        code,
        element: null,
      },
    ],
    type,
  },
  queryResponse: null,
  batchItemResponse: [],
  time: 1730024394085,
  status: null,
});
const newer = (code: string) => ({ code, type: 'INPUT', message: null, detail: `Token ${canary}` });
const xml = (attributes: string, message = 'Something') =>
  `<?xml version="1.0" encoding="UTF-8" standalone="yes"?><IntuitResponse xmlns="http://schema.intuit.com/finance/v3" time="2026-01-05T04:00:00.000-08:00"><Fault type="SERVICE"><Error ${attributes}><Message>${message}</Message><Detail>${canary}</Detail></Error></Fault></IntuitResponse>`;
const throttle = 'message=ThrottleExceeded; errorCode=003001; statusCode=429';
const invoice = { Invoice: { Id: '145' }, time: '2026-01-05T04:00:00.000-08:00' };

describe('classify', () => {
  it.each([
    ['an object', invoice],
    ['an empty query', { QueryResponse: {}, time: 'x' }],
    ['an object with fields named like a fault’s', { Invoice: { Id: '1', code: 'x', type: 'y', Fault: {} } }],
    ['a gateway form without a fault', { fault: null, QueryResponse: {} }],
  ])('finds no fault in a 200 with %s', (_, body) => {
    expect(judge(200, body)).toBeUndefined();
  });

  it.each([
    // status, what, body, code, provider's code
    [401, 'an expired token', gateway('3200', 'AuthenticationFailed', 401), 'UNAUTHENTICATED', '3200'],
    [403, 'an expired token', gateway('3200', 'AuthenticationFailed', 403), 'UNAUTHENTICATED', '3200'],
    [401, 'an expired token in capitals', service('3200', 'AUTHENTICATION'), 'UNAUTHENTICATED', '3200'],
    [401, 'an expired token, zeros first', service('003200', 'AUTHENTICATION'), 'UNAUTHENTICATED', '3200'],
    [
      401,
      'an expired token, newer form',
      newer('AuthenticationFailed'),
      'UNAUTHENTICATED',
      'AuthenticationFailed',
    ],
    [401, 'an expired token in XML', xml('code="3200" element=""'), 'UNAUTHENTICATED', '3200'],
    [401, 'a general authentication error', service('100', 'AuthenticationFault'), 'UNAUTHENTICATED', '100'],
    [401, 'no body', '', 'UNAUTHENTICATED', undefined],
    [401, 'a page', '<html>401</html>', 'UNAUTHENTICATED', undefined],
    [401, 'a lost administrator', service('120', 'AuthorizationFault'), 'REAUTHORIZATION_REQUIRED', '120'],
    [403, 'a lost administrator', service('120', 'AuthorizationFault'), 'REAUTHORIZATION_REQUIRED', '120'],
    [
      403,
      'the wrong company',
      gateway('3100', 'ApplicationAuthorizationFailed', 403, 'SERVICE'),
      'REAUTHORIZATION_REQUIRED',
      '3100',
    ],
    [
      403,
      'the wrong company, newer form',
      newer('ApplicationAuthorizationFailed'),
      'REAUTHORIZATION_REQUIRED',
      'ApplicationAuthorizationFailed',
    ],
    [403, 'no body', '', 'FORBIDDEN', undefined],
    [403, 'an unknown authorization fault', service('5020', 'AuthorizationFault'), 'FORBIDDEN', '5020'],
    [400, 'an unknown object', service('610'), 'NOT_FOUND', '610'],
    [404, 'no body', '', 'NOT_FOUND', undefined],
    [400, 'a stale object', service('5010'), 'CONFLICT', '5010'],
    [400, 'a name that is taken', service('6240'), 'CONFLICT', '6240'],
    [400, 'a document number that is taken', service('6140'), 'CONFLICT', '6140'],
    [409, 'no body', '', 'CONFLICT', undefined],
    [400, 'an unknown property', service('2010'), 'VALIDATION_FAILED', '2010'],
    [400, 'a missing value', service('2020'), 'VALIDATION_FAILED', '2020'],
    [400, 'a wrong enumeration', service('2170'), 'VALIDATION_FAILED', '2170'],
    [400, 'a wrong reference', service('2500'), 'VALIDATION_FAILED', '2500'],
    [400, 'a business rule', service('6000'), 'VALIDATION_FAILED', '6000'],
    [400, 'a validation code that nobody listed', service('6070'), 'VALIDATION_FAILED', '6070'],
    [
      400,
      'a code that is a number',
      JSON.stringify(service('2020')).replace('"2020"', '2020'),
      'VALIDATION_FAILED',
      '2020',
    ],
    [422, 'no body', '', 'VALIDATION_FAILED', undefined],
    [400, 'a subscription that has ended', service('6190'), 'FORBIDDEN', '6190'],
    [400, 'a closed period', service('6210'), 'FORBIDDEN', '6210'],
    [400, 'a deposited payment', service('6540'), 'FORBIDDEN', '6540'],
    [400, 'a query that does not parse', service('4000'), 'BAD_REQUEST', '4000'],
    [400, 'a query that is not valid', service('4001'), 'BAD_REQUEST', '4001'],
    [400, 'an unsupported operation', service('500'), 'BAD_REQUEST', '500'],
    [400, 'an unknown fault of no type', { Fault: { Error: [{ code: '9999' }] } }, 'BAD_REQUEST', '9999'],
    [400, 'an empty fault', { Fault: {} }, 'BAD_REQUEST', undefined],
    [400, 'a code named like a member of all objects', newer('constructor'), 'BAD_REQUEST', 'constructor'],
    [400, 'no body', '', 'BAD_REQUEST', undefined],
    [405, 'no body', '', 'BAD_REQUEST', undefined],
    [429, 'a throttle', service('3001', 'SERVICE'), 'RATE_LIMITED', '3001'],
    [429, 'a throttle in XML', xml('code="3001" element=""', throttle), 'RATE_LIMITED', '3001'],
    [429, 'no body', '', 'RATE_LIMITED', undefined],
    [429, 'another code', service('6000'), 'RATE_LIMITED', '6000'],
    [403, 'a throttle', service('3001', 'SERVICE'), 'RATE_LIMITED', '3001'],
    [503, 'a throttle', service('003001', 'SERVICE'), 'RATE_LIMITED', '3001'],
    [
      503,
      'a throttle from the gateway',
      gateway('3001', 'ThrottleExceeded', 503, 'SERVICE'),
      'RATE_LIMITED',
      '3001',
    ],
    [503, 'a throttle in XML', xml("element='' code='003001'", throttle), 'RATE_LIMITED', '3001'],
    [503, 'a throttle in XML, in the message only', xml('', throttle), 'RATE_LIMITED', '3001'],
    [
      403,
      'a throttle in the message only',
      { Fault: { Error: [{ Message: throttle }], type: 'SERVICE' } },
      'RATE_LIMITED',
      '3001',
    ],
    [403, 'a throttle, newer form', newer('ThrottleExceeded'), 'RATE_LIMITED', 'ThrottleExceeded'],
    [200, 'a throttle', service('3001', 'SERVICE'), 'RATE_LIMITED', '3001'],
    [500, 'a system fault', service('10000', 'SystemFault'), 'PROVIDER_ERROR', '10000'],
    [503, 'a page', '<html>Maintenance</html>', 'PROVIDER_ERROR', undefined],
    [502, 'no body', '', 'PROVIDER_ERROR', undefined],
    [500, 'a code that would end the connection', service('3100', 'SERVICE'), 'PROVIDER_ERROR', '3100'],
    [503, 'a code that would end the connection', service('120'), 'PROVIDER_ERROR', '120'],
    [500, 'an unknown object', service('610'), 'PROVIDER_ERROR', '610'],
    [408, 'no body', '', 'PROVIDER_ERROR', undefined],
    [302, 'a redirect to a page', '<html>Moved</html>', 'PROVIDER_ERROR', undefined],
    [200, 'a system fault', service('10000', 'SystemFault'), 'PROVIDER_ERROR', '10000'],
    [200, 'an unknown object', service('610'), 'NOT_FOUND', '610'],
    [200, 'a validation fault', service('2500'), 'VALIDATION_FAILED', '2500'],
    [200, 'a fault of which nothing is known', { Fault: {} }, 'PROVIDER_ERROR', undefined],
    [200, 'a page', '<!doctype html><html>Sign in</html>', 'PROVIDER_ERROR', undefined],
    [200, 'an object in XML', '<IntuitResponse><Invoice/></IntuitResponse>', 'PROVIDER_ERROR', undefined],
    [200, 'no body', '', 'PROVIDER_ERROR', undefined],
    [200, 'half a body', JSON.stringify(invoice).slice(0, -5), 'PROVIDER_ERROR', undefined],
    [200, 'a list', [invoice], 'PROVIDER_ERROR', undefined],
    [200, 'null', 'null', 'PROVIDER_ERROR', undefined],
  ])('takes %i with %s for what it is', (status, _, body, code, providerCode) => {
    const fault = judge(status, body);
    expect(fault).toMatchObject({ code });
    expect(fault?.providerCode).toBe(providerCode);
    expect(JSON.stringify(fault)).not.toContain('canary');
  });

  it('asks for a minute after a throttle, where no header says more', () => {
    expect(judge(429, '')).toMatchObject({ retryAfterMs: 60_000 });
    expect(judge(503, service('3001', 'SERVICE'))).toMatchObject({ retryAfterMs: 60_000 });
    expect(judge(429, '', { 'retry-after': 'Wed' }), 'where the header cannot be read').toMatchObject({
      retryAfterMs: 60_000,
    });
    expect(judge(503, '')).not.toHaveProperty('retryAfterMs');
  });

  it('calls only a stale object curable by reading anew', () => {
    expect(judge(400, service('5010'))).toMatchObject({ retryable: true });
    expect(judge(409, '')).toMatchObject({ retryable: true });
    for (const code of ['6140', '6240'])
      expect(judge(400, service(code)), `code ${code}`).toMatchObject({ retryable: false });
    expect(judge(409, service('6240')), 'known better').toMatchObject({ code: 'CONFLICT', retryable: false });
    expect(judge(400, service('2020'))).not.toHaveProperty('retryable');
  });

  it('names the request by intuit_tid', () => {
    expect(judge(500, '', { intuit_tid: '1-69a0-2f7c' })).toMatchObject({ requestId: '1-69a0-2f7c' });
    expect(judge(500, '', { intuit_tid: 'a\nb' })).not.toHaveProperty('requestId');
    expect(judge(500, '')).not.toHaveProperty('requestId');
  });

  it('judges a large answer without delay', () => {
    const hostile = ['type ', 'type=', '<Fault '].map((part) => `<Fault ${part.repeat(50_000)}`);
    for (const part of ['code ', 'code=', '<Error ']) hostile.push(`<Fault><Error ${part.repeat(50_000)}`);
    const started = performance.now();
    for (const body of hostile) expect(judge(500, body)).toMatchObject({ code: 'PROVIDER_ERROR' });
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});

const target = { apiUrl: 'https://quickbooks.api.intuit.com', externalId: '9130357766900' };
const base = 'https://quickbooks.api.intuit.com/v3/company/9130357766900';

describe('identity', () => {
  const identity = quickbooks.identity!;

  it('asks for the company', () => {
    expect(identity.request(target)).toEqual({
      method: 'GET',
      url: `${base}/companyinfo/9130357766900?minorversion=75`,
      headers: { accept: 'application/json' },
    });
  });

  it.each([
    [{ CompanyInfo: { Id: '1', CompanyName: 'Sandbox Company_US_1' } }, 'Sandbox Company_US_1'],
    [{ CompanyInfo: { Id: '1', CompanyName: 7 } }, null],
    [{ CompanyInfo: null }, null],
    [{}, null],
  ])('is the realm, named as %j says', (body, name) => {
    expect(identity.parse(answer(200, body), target)).toEqual({ id: '9130357766900', name, url: null });
  });
});

describe('records', () => {
  const { records } = quickbooks;
  const queryOf = (resource: string, ids: string[]) => {
    const url = new URL(records.request(target, resource, ids).url);
    expect(url.pathname).toBe('/v3/company/9130357766900/query');
    return { query: url.searchParams.get('query'), minorversion: url.searchParams.get('minorversion') };
  };

  it.each([
    ['Customer', 'customer'],
    ['Invoice', 'invoice'],
    ['Payment', 'payment'],
    ['Vendor', 'vendor'],
    ['Bill', 'bill'],
  ])('reads one %s by its path', (resource, path) => {
    expect(quickbooks.resources).toContain(resource);
    expect(records.request(target, resource, ['145'])).toEqual({
      method: 'GET',
      url: `${base}/${path}/145?minorversion=75`,
      headers: { accept: 'application/json' },
    });
  });

  it('reads several in one query, properly encoded', () => {
    const { url, headers } = records.request(target, 'Invoice', ['1', '2']);
    expect(url).toBe(
      `${base}/query?query=select%20*%20from%20Invoice%20where%20Id%20in%20('1'%2C'2')&minorversion=75`,
    );
    expect(headers).toEqual({ accept: 'application/json' });
  });

  it('asks for the inactive ones too where queries hide them', () => {
    const all = ' and Active in (true, false)';
    expect(queryOf('Customer', ['1', '2']).query).toBe(`select * from Customer where Id in ('1','2')${all}`);
    expect(queryOf('Vendor', ['1', '2']).query).toBe(`select * from Vendor where Id in ('1','2')${all}`);
    for (const resource of ['Invoice', 'Payment', 'Bill'])
      expect(queryOf(resource, ['1', '2'])).toEqual({
        query: `select * from ${resource} where Id in ('1','2')`,
        minorversion: '75',
      });
  });

  it('keeps a full batch below one page of a query and below the longest URL that servers take', () => {
    const ids = Array.from({ length: records.batchSize }, (_, i) => String(10 ** 19 + i));
    expect(records.batchSize).toBeLessThanOrEqual(100);
    expect(records.request(target, 'Customer', ids).url.length).toBeLessThan(2_000);
  });

  it.each(['1', '145', '9'.repeat(20)])('takes %j for an id', (id) => {
    expect(records.idPattern.test(id)).toBe(true);
  });

  it.each(['', 'x', '-1', '1.5', ' 1', '1\n', "1') or Id in ('2", '../1', '١', '9'.repeat(21)])(
    'does not take %j for an id',
    (id) => {
      expect(records.idPattern.test(id)).toBe(false);
    },
  );

  const stored = (Id: string, LastUpdatedTime?: unknown) => ({
    Id,
    SyncToken: '0',
    MetaData: { CreateTime: '2025-01-01T00:00:00-08:00', LastUpdatedTime },
    CustomerRef: { value: '5', name: 'Acme' },
  });

  it('gives the object of a single read, with the provider’s time', () => {
    const object = stored('145', '2025-09-08T13:52:31-07:00');
    expect(records.parse(answer(200, { Invoice: object, time: 'x' }), 'Invoice', ['145'])).toEqual(
      new Map([
        ['145', { externalId: '145', payload: object, updatedAt: new Date('2025-09-08T20:52:31.000Z') }],
      ]),
    );
  });

  it('gives the rows of a query, by id', () => {
    const body = {
      QueryResponse: { Bill: [stored('2'), stored('7')], startPosition: 1, maxResults: 2 },
      time: 'x',
    };
    const found = records.parse(answer(200, body), 'Bill', ['7', '2', '9']);
    expect([...found.keys()]).toEqual(['2', '7']);
    expect(found.get('7')?.payload).toEqual(body.QueryResponse.Bill[1]);
  });

  it.each([
    ['a query without rows', { QueryResponse: {}, time: 'x' }],
    ['rows of another kind', { QueryResponse: { Invoice: [stored('1')] } }],
    ['an object of another kind', { Invoice: stored('1') }],
    ['an object without an id', { Bill: { SyncToken: '0' } }],
    ['nothing but null', { Bill: null }],
    ['things that are not objects', { QueryResponse: { Bill: [null, 1, 'x', []] } }],
  ])('gives nothing for %s', (_, body) => {
    expect(records.parse(answer(200, body), 'Bill', ['1']).size).toBe(0);
  });

  it.each([
    [undefined, null],
    ['', null],
    ['120', null],
    ['yesterday', null],
    ['2025-13-45T00:00:00Z', null],
    [1730024394085, null],
    ['2025-09-08T20:52:31.657Z', '2025-09-08T20:52:31.657Z'],
    ['2025-09-08T20:52:31.657123456Z', '2025-09-08T20:52:31.657Z'],
  ])('reads the time %j as %j', (time, iso) => {
    const found = records.parse(answer(200, { Bill: stored('1', time) }), 'Bill', ['1']);
    expect(found.get('1')?.updatedAt?.toISOString() ?? null).toBe(iso);
  });
});

describe('oauth', () => {
  const { name, pattern } = quickbooks.oauth.externalIdParam!;

  it('takes the company from realmId alone', () => {
    expect(name).toBe('realmId');
    for (const realm of ['9130357766900', '4620816365000000000', '123146']) expect(realm).toMatch(pattern);
    for (const realm of ['', '1/2', '12 ', 'x', '1'.repeat(21)]) expect(realm).not.toMatch(pattern);
  });
});
