import { assert, constantFrom, oneof, property, record, string, stringMatching, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { faultDetails, redact } from '../../src/calls/redact.ts';
import { IntegrationError, problem } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';

const jwt = 'eyJhbGciOiJkaXIi.eyJzdWIiOiIxIn0.c2lnbmF0dXJl';

describe('redact', () => {
  it.each([
    // what, text, what must not be in it
    ['a bearer token', 'Authorization failed for Bearer abcDEF123', 'abcDEF123'],
    ['a bearer token of letters', 'sent: bearer hunterhunter', 'hunterhunter'],
    ['a bearer token called so', 'The bearer token abc123 has expired', 'abc123'],
    ['a bearer token behind two spaces', 'sent: Bearer  abc123', 'abc123'],
    ['a bearer token called access token', 'The bearer access_token  abc123 has expired', 'abc123'],
    ['a bearer token that begins like a word', 'Bearer expired1x', '1x'],
    ['a bearer token that ends like a word', 'Bearer hunter2token', 'hunter2'],
    ['basic credentials', 'got Basic dXNlcjpwYXNz', 'dXNlcjpwYXNz'],
    ['an encoded bearer token', 'header=Bearer%20abc123', 'abc123'],
    ['an authorization header', 'authorization: Digest username="bob", response="17"', 'bob'],
    ['a cookie header', 'Set-Cookie: sid=short1; path=/', 'short1'],
    ['a cookie that was sent', 'Cookie : sid=short1', 'short1'],
    ['a cookie header in JSON', '{"set-cookie": "sid=short1"}', 'short1'],
    ['a JWT', `Token expired: ${jwt}`, 'c2lnbmF0dXJl'],
    ['a broken JWT', 'Token expired: eyJhbGciOiJkaXIi-canary', 'canary'],
    ['a Slack bot token', 'invalid xoxb-1-abc', 'abc'],
    ['a rotated Slack token', 'invalid xoxe.xoxp-1-Mi', 'xoxp-1'],
    ['a Slack app token', 'invalid xapp-1-A', '1-A'],
    ['a long hexadecimal run', 'key 0123456789abcdef0123', '9abcdef'],
    ['a long base64 run', 'got ab+/cd1ef2gh3ij4kl5mn6==', 'ij4kl5'],
    ['a long run of letters', `got ${'aBcDeFgHiJ'.repeat(4)}`, 'aBcDeF'],
    ['a UUID', 'key 2f1e4b7c-0000-4000-8000-5f2a1b3c4d5e', '5f2a1b3c4d5e'],
    ['a token in a query', 'GET /cb?x=1&access_token=s3cret&y=2', 's3cret'],
    ['a code in a query', 'GET /cb?code=Ab1', 'Ab1'],
    ['a state in a query', 'GET /cb?state=Ab1', 'Ab1'],
    ['the second of two', 'GET /cb?code=Ab1&State=Cd2', 'Cd2'],
    ['an authorization code in a form', 'authorization_code=short', 'short'],
    ['a token in an encoded query', 'return_to=%2Fcb%3Ftoken%3Ds3cret', 's3cret'],
    ['a password in JSON', '{"password":"two words \\"quoted\\" & more","a":1}', 'words'],
    ['a password in JSON in JSON', '"{\\"password\\":\\"two words\\"}"', 'words'],
    ['a password in single quotes', "{'password': 'two words'}", 'words'],
    ['a password in prose', "The password 'hunter2' is wrong", 'hunter2'],
    ['a password after a colon', 'Wrong password: hunter2', 'hunter2'],
    ['a client secret', 'client_secret=abc', 'abc'],
    ['a refresh token in JSON', '{"refresh_token": "AB1"}', 'AB1'],
    ['a code in JSON', '{"code":"Ab1x"}', 'Ab1x'],
    ['an element', '<accessToken>short</accessToken>', 'short'],
    ['an API key', 'X-Api-Key: k3y', 'k3y'],
    ['a PKCE verifier', 'code_verifier=short', 'short'],
    ['credentials in a URL', 'at https://bob:pw@example.com/', 'bob'],
    ['an e-mail address', 'No user bob@example.com here', 'bob'],
    ['an encoded e-mail address', 'user=bob%40example.com', 'bob'],
    ['a bank account', 'Account 123456789 is closed', '1234'],
    ['a social security number', 'SSN 123-45-6789', '6789'],
    ['a card in groups', 'Card 4111 1111 1111 1111', '1111'],
    ['an IBAN', 'IBAN DE89370400440532013000', '0532'],
    ['a private key', '-----BEGIN PRIVATE KEY-----\nMIIB short\n-----END PRIVATE KEY----- done', 'MIIB'],
    ['a private key cut short', '-----BEGIN RSA PRIVATE KEY-----\nMIIB short', 'short'],
  ])('takes out %s', (_, text, secret) => {
    const clean = redact(text);
    expect(clean).toContain('[redacted]');
    expect(clean).not.toContain(secret);
    expect(redact(clean), 'done again').toBe(clean);
  });

  it.each([
    'message=ThrottleExceeded; errorCode=003001; statusCode=429',
    'Object Not Found : Something you are trying to use has been made inactive. Check the fields with accounts.',
    'DocNumber=1045 is assigned to TxnId=12345678',
    'The name supplied already exists. : Id=145',
    'Malformed bearer token, too short or too long',
    'Missing bearer token.',
    'No bearer credential was sent',
    'The bearer token has expired',
    'Your Basic plan does not allow this',
    'Your Basic Subscription does not allow this',
    'Authorization has been denied for this request.',
    'The token has expired',
    'ApplicationAuthorizationFailed',
    'oauth_authorization_url_mismatch',
    'Books closed through 2025-12-31.',
    'Only 2025-12-31/2026-01-31 is open.',
    'needed channels:read,groups:read: provided incoming-webhook,users:read.email',
    'https://example.com/probs/out-of-credit',
    '{"code":610}',
    '{"code":"6240"}',
    'State: CA',
    'Line.SalesItemLineDetail.ItemRef',
  ])('leaves %j alone', (text) => {
    expect(redact(text)).toBe(text);
  });

  it('keeps what stands around a secret', () => {
    expect(redact('GET /cb?x=1&access_token=s3cret&y=2 failed')).toBe(
      'GET /cb?x=1&access_token=[redacted]&y=2 failed',
    );
    expect(redact(`Token expired: ${jwt} (old)`)).toBe('Token expired: [redacted] (old)');
    expect(redact('-----BEGIN A KEY-----\nMIIB\n-----END A KEY----- done')).toBe('[redacted] done');
  });

  it('gives one line without control characters', () => {
    expect(redact(' a\r\nb\u0000\u001b[31mc\u2028d ')).toBe('a b [31mc d');
  });

  it('cuts nothing off 4 KB', () => {
    const text = `${'word '.repeat(819)}x`;
    expect(text).toHaveLength(4_096);
    expect(redact(text)).toBe(text);
  });

  it('leaves no half of a secret where it cuts', () => {
    const padding = 'word '.repeat(818);
    expect(padding.length).toBe(4_090);
    const clean = redact(`${padding}a1b2c3d4e5f6a7b8c9d0e1f2`);
    expect(clean).toBe(padding.trim());
  });

  it.each([
    ['nothing but a letter', 'a'],
    ['digits', '1'],
    ['digits in groups', '1 '],
    ['quotes', '"'],
    ['backslashes', '\\'],
    ['names of secrets', 'token'],
    ['names with separators', 'token="\\'],
    ['halves of e-mail addresses', 'a@'],
    ['spaces', ' '],
    ['beginnings of keys', '-----BEGIN A-----'],
    ['beginnings of URLs', '://a'],
    ['schemes', 'bearer '],
  ])('takes no longer for 8 MB of %s', (_, part) => {
    const text = part.repeat(Math.ceil((8 * 1024 * 1024) / part.length));
    const started = performance.now();
    expect(redact(text).length).toBeLessThanOrEqual(3 * 4_096);
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  const opaque = string({
    unit: constantFrom(...Array.from('ABCXYZabcxyz0123456789-_')),
    minLength: 22,
    maxLength: 80,
  }).filter((text) => /\d/.test(text) && /[A-Za-z]/.test(text));
  const short = stringMatching(/^[A-Za-z0-9!$*^~]{10,16}$/).filter((text) => /[A-Z].*\d/.test(text));
  const sentences = [
    'Token expired: {}',
    'invalid_request (value was {}) for company 145',
    'message=AuthenticationFailed; errorCode=003200; statusCode=401; token={}',
    '{"error":"invalid_grant","error_description":"unknown grant {}"}',
    'https://example.com/callback?x=1&code={}&state=2',
    '<Detail>Token {} is not valid</Detail>',
    'Header "Authorization: Bearer {}" was refused, see {}',
    'Das Kürzel „{}“ ist falsch',
  ];
  const named = [
    'password={}&a=1',
    '{"password":"{}"}',
    'Wrong password: {}',
    'refresh_token={}',
    'client_secret: "{}"',
    'Authorization: Basic {}',
    '{\\"access_token\\":\\"{}\\"}',
  ];
  const embedded = oneof(
    tuple(
      oneof(
        opaque,
        opaque.map((text) => `xoxb-${text}`),
        opaque.map((text) => `eyJ${text}.${text}.${text}`),
      ),
      constantFrom(...sentences),
    ),
    tuple(short, constantFrom(...named)),
    tuple(
      record({
        local: stringMatching(/^[a-z0-9.+]{3,20}$/),
        host: stringMatching(/^[a-z]{3,9}\.(com|io)$/),
      }).map(({ local, host }) => `${local}@${host}`),
      constantFrom(...sentences),
    ),
    tuple(stringMatching(/^\d{9,17}$/), constantFrom(...sentences)),
  );

  it('lets no part of an embedded secret through, wherever the text is cut', () => {
    const padding = string({ unit: constantFrom('a', ' ', 'x ', '. '), maxLength: 4_200 });
    assert(
      property(embedded, oneof(constantFrom(''), padding), ([secret, sentence], before) => {
        const clean = redact(`${before} ${sentence.replaceAll('{}', secret)}`);
        for (let at = 0; at + 8 <= secret.length; at++) expect(clean).not.toContain(secret.slice(at, at + 8));
      }),
      { numRuns: 2_000, seed: 20261123 },
    );
  });
});

describe('faultDetails', () => {
  it('redacts and cuts each member', () => {
    const [detail] = faultDetails([
      { code: 3200, message: `Token expired: ${jwt} ${'long '.repeat(200)}`, element: 'bob@example.com' },
    ]);
    expect(detail).toMatchObject({ code: '3200', element: '[redacted]' });
    expect(detail!.message).toMatch(/^Token expired: \[redacted\] long /);
    expect(detail!.message).toHaveLength(300);
  });

  it('keeps the first ten', () => {
    const many = Array.from({ length: 12 }, (_, i) => ({ code: `c${i}` }));
    expect(faultDetails(many)).toEqual(many.slice(0, 10));
  });

  it('leaves out what is empty or no text', () => {
    expect(
      faultDetails([{}, { code: null, message: '', element: { a: 1 } }, { message: ' \n' }, { code: 'x' }]),
    ).toEqual([{ code: 'x' }]);
  });

  it('cuts no character in half', () => {
    const [detail] = faultDetails([{ message: `${'x '.repeat(149)}x😀` }]);
    expect(detail!.message!.isWellFormed()).toBe(true);
  });
});

describe('the details of an IntegrationError', () => {
  const details = [{ code: '2500', message: 'Invalid Reference Id' }];
  const cause = problem('VALIDATION_FAILED', 'Refused.', new Date(0), {
    requestId: 'tid-1',
    retryAfterSeconds: 7,
  });
  const error = new IntegrationError(cause, { provider: 'quickbooks', status: 400, details });

  it('can be read with everything else that is known of the failure', () => {
    const { status, code, message, provider, requestId, retryable, retryAfterSeconds } = error;
    expect({ status, code, message, provider, requestId, retryable, retryAfterSeconds }).toEqual({
      status: 400,
      code: 'VALIDATION_FAILED',
      message: 'Refused.',
      provider: 'quickbooks',
      requestId: 'tid-1',
      retryable: false,
      retryAfterSeconds: 7,
    });
    expect(error.details).toEqual(details);
    expect(new IntegrationError(cause)).toMatchObject({
      details: [],
      provider: undefined,
      status: undefined,
    });
  });

  it('reach neither a log line nor JSON', () => {
    let line = '';
    createLog('info', { write: (text) => void (line += text) }).warn({ err: error }, 'call failed');
    expect(JSON.parse(line)).toMatchObject({ err: { provider: 'quickbooks', status: 400 } });
    expect(line).not.toContain('Invalid Reference');
    expect(JSON.stringify(error)).not.toContain('Invalid Reference');
    expect(JSON.stringify(error.problem)).not.toContain('Invalid Reference');
  });
});
