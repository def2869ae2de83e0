import { describe, expect, it } from 'vitest';
import { createHttpClassify } from '../../src/providers/httpFaults.ts';

const classify = createHttpClassify('Acme');
const judge = (status: number, body: unknown = '', headers: Record<string, string> = {}) =>
  classify({ status, headers, body: typeof body === 'string' ? body : JSON.stringify(body) }, 0);

describe('a provider that is only described', () => {
  it.each([200, 201, 202, 204, 207, 299])('has no fault in a %i', (status) => {
    expect(judge(status, '{"error":"looks like one"}')).toBeUndefined();
  });

  it.each([
    [100, 'PROVIDER_ERROR'],
    [301, 'PROVIDER_ERROR'],
    [302, 'PROVIDER_ERROR'],
    [304, 'PROVIDER_ERROR'],
    [307, 'PROVIDER_ERROR'],
    [308, 'PROVIDER_ERROR'],
    [400, 'BAD_REQUEST'],
    [401, 'UNAUTHENTICATED'],
    [402, 'FORBIDDEN'],
    [403, 'FORBIDDEN'],
    [404, 'NOT_FOUND'],
    [405, 'BAD_REQUEST'],
    [406, 'BAD_REQUEST'],
    [407, 'BAD_REQUEST'],
    [408, 'PROVIDER_ERROR'],
    [409, 'CONFLICT', true],
    [410, 'NOT_FOUND'],
    [411, 'BAD_REQUEST'],
    [412, 'CONFLICT', true],
    [413, 'BAD_REQUEST'],
    [414, 'BAD_REQUEST'],
    [415, 'BAD_REQUEST'],
    [416, 'BAD_REQUEST'],
    [417, 'BAD_REQUEST'],
    [418, 'BAD_REQUEST'],
    [421, 'PROVIDER_ERROR'],
    [422, 'VALIDATION_FAILED'],
    [423, 'CONFLICT', true],
    [424, 'BAD_REQUEST'],
    [425, 'PROVIDER_ERROR'],
    [426, 'BAD_REQUEST'],
    [428, 'BAD_REQUEST'],
    [429, 'RATE_LIMITED'],
    [431, 'BAD_REQUEST'],
    [451, 'FORBIDDEN'],
    [499, 'BAD_REQUEST'],
    [500, 'PROVIDER_ERROR'],
    [501, 'PROVIDER_ERROR', false],
    [502, 'PROVIDER_ERROR'],
    [503, 'PROVIDER_ERROR'],
    [504, 'PROVIDER_ERROR'],
    [505, 'PROVIDER_ERROR', false],
    [507, 'PROVIDER_ERROR'],
    [529, 'PROVIDER_ERROR'],
    [599, 'PROVIDER_ERROR'],
    [600, 'PROVIDER_ERROR'],
  ] as [number, string, boolean?][])('means %i as %s', (status, code, retryable) => {
    const fault = judge(status);
    expect(fault).toMatchObject({ code });
    expect(fault!.retryable).toBe(retryable);
    expect(fault!.message).toMatch(/^Acme /);
  });

  it('never demotes a connection by a status', () => {
    for (let status = 300; status < 600; status++)
      expect(judge(status, { error: 'invalid_grant' })!.code).not.toBe('REAUTHORIZATION_REQUIRED');
  });

  it.each([
    ['www-authenticate', 'Bearer realm="x", error="insufficient_scope", scope="a"', 'SCOPES_INSUFFICIENT'],
    ['www-authenticate', 'Bearer error="invalid_token"', 'FORBIDDEN'],
    ['retry-after', '30', 'RATE_LIMITED'],
    ['x-ratelimit-remaining', '0', 'RATE_LIMITED'],
    ['x-ratelimit-remaining', '12', 'FORBIDDEN'],
  ])('means a 403 with %s: %s as %s', (name, value, code) => {
    expect(judge(403, '', { [name]: value })).toMatchObject({ code });
    expect(judge(503, '', { [name]: value }), 'a server in trouble').toMatchObject({
      code: 'PROVIDER_ERROR',
    });
  });

  it.each([
    [
      'problem+json',
      {
        type: 'https://acme.example/out-of-credit',
        title: 'No credit.',
        detail: 'Your balance is 30.',
        status: 403,
      },
      [{ code: 'https://acme.example/out-of-credit', message: 'No credit.: Your balance is 30.' }],
      undefined,
    ],
    [
      'problem+json without a type',
      { type: 'about:blank', title: 'Not Found' },
      [{ message: 'Not Found' }],
      undefined,
    ],
    [
      'problem+json with parameters',
      { title: 'No', 'invalid-params': [{ name: 'age', reason: 'is negative' }] },
      [{ message: 'No' }, { element: 'age', message: 'is negative' }],
      undefined,
    ],
    [
      'an OAuth error',
      { error: 'invalid_scope', error_description: 'Unknown scope' },
      [{ code: 'invalid_scope', message: 'Unknown scope' }],
      'invalid_scope',
    ],
    [
      'a list of errors',
      {
        errors: [
          { code: 'E1', message: 'One', field: 'a' },
          { code: 2, message: 'Two' },
        ],
      },
      [
        { code: 'E1', message: 'One', element: 'a' },
        { code: '2', message: 'Two' },
      ],
      'E1',
    ],
    [
      'JSON:API',
      {
        errors: [
          {
            status: '422',
            code: 'x1',
            title: 'Invalid',
            detail: 'Too short',
            source: { pointer: '/data/name' },
          },
        ],
      },
      [{ code: 'x1', message: 'Invalid: Too short', element: '/data/name' }],
      'x1',
    ],
    [
      'GraphQL',
      { errors: [{ message: 'No', extensions: { code: 'FORBIDDEN' } }] },
      [{ code: 'FORBIDDEN', message: 'No' }],
      'FORBIDDEN',
    ],
    [
      'an error inside',
      { error: { code: 'rate_limit', message: 'Slow down', errors: [{ code: 'inner' }] } },
      [{ code: 'rate_limit', message: 'Slow down' }, { code: 'inner' }],
      'rate_limit',
    ],
    ['a list at the top', [{ errorCode: 'X', message: 'Y' }], [{ code: 'X', message: 'Y' }], 'X'],
    [
      'errors by field',
      { message: 'Invalid', errors: { email: ['is taken', 'is odd'], name: ['is empty'] } },
      [
        { message: 'Invalid' },
        { element: 'email', message: 'is taken' },
        { element: 'email', message: 'is odd' },
        { element: 'name', message: 'is empty' },
      ],
      undefined,
    ],
    ['errors that are text', { errors: ['One', 'Two'] }, [{ message: 'One' }, { message: 'Two' }], undefined],
    ['capitals', { Error: { Code: 'A', Message: 'B' } }, [{ code: 'A', message: 'B' }], 'A'],
    ['text', 'Rate limit exceeded', [{ message: 'Rate limit exceeded' }], undefined],
    ['JSON text', '"No"', [{ message: 'No' }], undefined],
    ['a page', '<html><title>\n502 Bad\n Gateway</title>', [{ message: '502 Bad Gateway' }], undefined],
    ['a page without a title', '<html><body>x</body></html>', undefined, undefined],
    ['XML', '<?xml version="1.0"?><e>no</e>', undefined, undefined],
    ['nothing', '', undefined, undefined],
    ['an object that says nothing', { a: 1 }, undefined, undefined],
    ['null', 'null', undefined, undefined],
    ['a number', '7', undefined, undefined],
  ] as [string, unknown, object[] | undefined, string | undefined][])(
    'has the words of %s as details',
    (_, body, details, providerCode) => {
      const fault = judge(400, body);
      expect(fault!.details).toEqual(details);
      expect(fault!.providerCode).toBe(providerCode);
    },
  );

  it('lets no secret through, neither as a word nor as a code', () => {
    const token = 'sk1-abcdefghij1234567890';
    const body = {
      error: token,
      error_description: `token=${token}`,
      errors: [{ code: token, field: token }],
    };
    const fault = JSON.stringify(judge(400, body));
    expect(fault).not.toContain('abcdefghij');
    expect(judge(400, body)).not.toHaveProperty('providerCode');
  });

  it('names the request', () => {
    expect(judge(500, '', { 'x-request-id': 'r-1' })).toMatchObject({ requestId: 'r-1' });
    expect(judge(500, '', { 'x-request-id': '<b>' })).not.toHaveProperty('requestId');
    const own = createHttpClassify('Acme', ['x-acme-id']);
    const headers = { 'x-acme-id': 'a-1', 'x-request-id': 'r-1' };
    expect(own({ status: 500, headers, body: '' }, 0)).toMatchObject({ requestId: 'a-1' });
  });

  it('is judged without delay, however large or deep the answer', () => {
    const bodies = [
      '['.repeat(100_000) + ']'.repeat(100_000),
      `{"errors":[${'{"errors":['.repeat(10_000)}${']}'.repeat(10_000)}]}`,
      JSON.stringify({ errors: Array.from({ length: 100_000 }, (_, i) => ({ code: `c${i}` })) }),
      '<title'.repeat(1_000_000),
      'a'.repeat(8_000_000),
    ];
    const started = performance.now();
    for (const body of bodies) expect(judge(500, body)).toMatchObject({ code: 'PROVIDER_ERROR' });
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
