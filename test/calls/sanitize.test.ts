import { describe, expect, it } from 'vitest';
import type { HttpRequest } from '../../src/calls/http.ts';
import { sanitized, sanitizedRequest } from '../../src/calls/sanitize.ts';

const secret = 'x7Qz-canary-0123456789';
const request = (more: Partial<HttpRequest> = {}): HttpRequest => ({
  method: 'GET',
  url: 'https://api.example/v1/things/7',
  headers: { authorization: `Bearer ${secret}`, cookie: `sid=${secret}` },
  ...more,
});
const answer = (body: unknown, headers: Record<string, string> = {}) => ({
  status: 200,
  headers: { 'content-type': 'application/json', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
const bodyOf = (body: unknown, masked: readonly string[] = []) =>
  sanitized(request(), answer(body), masked).response.body;

describe('a recording', () => {
  it.each<[string, unknown]>([
    ['tokens', { access_token: secret, refreshToken: secret, id_token: secret, data: { apiKey: secret } }],
    ['passwords', { password: secret, Passwd: [secret], credentials: { name: secret, key: secret } }],
    ['codes that let somebody in', { user_code: secret, deviceCode: secret, otp: secret }],
    ['a token in prose', { Fault: { detail: `Token expired: ${secret}` } }],
    ['a token in a URL', { next: `https://api.example/x?page=2&sig=${secret}` }],
    ['a token in JSON in text', { raw: JSON.stringify({ client_secret: secret }) }],
    ['a bearer token under any name', { echo: `Bearer ${secret}` }],
  ])('has nothing of %s', (_what, body) => {
    expect(JSON.stringify(sanitized(request(), answer(body)))).not.toContain(secret);
  });

  it.each([
    ['an e-mail address', { contact: 'jane.doe@shipper.example' }, 'jane.doe'],
    ['an e-mail address in prose', { Notes: 'ask jane.doe@shipper.example first' }, 'jane.doe'],
    ['a telephone number', { PrimaryPhone: { FreeFormNumber: '555 0134' } }, '0134'],
    ['a telephone number under any name', { Notes: '(555) 010-0134' }, '0134'],
    ['an international one', { reach: '+49 30 1234567' }, '1234567'],
    ['a social security number', { remark: '987-65-4320' }, '4320'],
    ["an employer's number", { remark: '00-1234567' }, '1234567'],
    ['a name', { DisplayName: 'Jane Doe', real_name: 'Jane Doe' }, 'Jane'],
    ['a postal address', { BillAddr: { Line1: '1 Dock Road', City: 'Omaha' } }, 'Dock'],
    ['a token of 40 characters under any name', { x: 'aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9jK2m' }, 'aB3dE6'],
    ['a JSON Web Token', { x: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc' }, 'eyJ'],
    ["a bot's token", { x: 'xoxb-1-2-abc' }, 'xoxb'],
  ])('has nothing of %s', (_what, body, part) => {
    expect(JSON.stringify(bodyOf(body))).not.toContain(part);
  });

  it('has nothing of what the provider masks, whatever it is called', () => {
    const body = { Carrier: { Number: 4711, Colour: 'blue', kept: 'yes', list: [{ colour: 'red' }] } };
    expect(bodyOf(body, ['Colour', 'NUMBER'])).toEqual({
      Carrier: { Number: 0, Colour: '[hidden]', kept: 'yes', list: [{ colour: '[hidden]' }] },
    });
  });

  it('keeps ids, times, amounts, states, what is wrong, and where the next page is', () => {
    const body = {
      ...{
        Id: '4711',
        uuid: '0b0f4a5e-6a4e-4a57-9a3e-2f2f6f7f8f90',
        TotalAmt: 12.5,
        Active: true,
        none: null,
      },
      ...{ SyncToken: '3', expires_in: 3600, token_type: 'bearer', next_page_token: 'abc', empty: '' },
      MetaData: { LastUpdatedTime: '2026-11-23T03:00:00-08:00' },
      Fault: { Error: [{ Message: 'Object Not Found', code: '610' }] },
    };
    expect(bodyOf(body)).toEqual(body);
  });

  it('keeps no header of the request and few of the answer', () => {
    const recording = sanitized(
      request(),
      answer(
        {},
        { 'set-cookie': secret, 'x-account': 'acme', 'retry-after': '3', 'x-ratelimit-remaining': '9' },
      ),
    );
    expect(recording).toEqual({
      request: { method: 'GET', path: '/v1/things/7', query: {}, body: null },
      response: {
        status: 200,
        headers: { 'content-type': 'application/json', 'retry-after': '3', 'x-ratelimit-remaining': '9' },
        body: {},
      },
    });
  });

  it('hides what a token request sends', () => {
    const form = new URLSearchParams({
      ...{ grant_type: 'authorization_code', code: secret, code_verifier: secret, client_secret: secret },
      ...{ redirect_uri: 'https://us.example/callback', username: 'u', password: secret },
    });
    const { request: asked } = sanitized(request({ method: 'POST', body: form.toString() }), answer({}));
    expect(asked.body).toEqual({
      grant_type: 'authorization_code',
      ...Object.fromEntries([...form.keys()].slice(1).map((name) => [name, '[hidden]'])),
    });
  });

  it('keeps of other bodies their length alone', () => {
    expect(bodyOf(`<Fault>${secret}</Fault>`)).toBe('[37 characters]');
  });

  it('is the same for the same request at another time with another token', () => {
    const at = (time: string, token: string) =>
      sanitized(
        request({
          url: `https://api.example/query?query=${encodeURIComponent(`select * from A where T >= '${time}'`)}&since=${time}&email=${token}%40a.example`,
        }),
        answer({}),
      ).request;
    expect(at('2026-11-23T10:00:00.000Z', 'a')).toEqual(at('2027-01-01T00:00:00Z', 'b'));
  });
});

/** Names whose values are hidden, and names that only look like them. */
const hiddenNames = {
  'a secret': `token refreshToken client_secret passwd password passphrase credential signature code_verifier
    code_challenge nonce client_assertion Authorization Cookie session_id api_key apiKey private_key privateKey client_id
    clientId redirect_uri redirectUri auth_code authCode authorizationCode device_code deviceCode user_code
    verification_code access_code one_time_code oneTimeCode onetimecode otp_code pinCode otp pin state async_token
    sync_tokens my_token_type token_types next_tokens xnext_token token_expires_in_hex`,
  'a person': `email eMail e-mail workPhone fax mobile cell cellular tel telephone skype ssn ssn_last4 userSsn ein
    employer_ein tin tinType payerTin tax_id taxId tax_number taxIdentifier acct_num AcctNum account_num AccountNum routing
    iban swift card_num cardNum birthday dob gender address BillAddr line1 street city shipCity postal zipCode lat lng long
    geo_loc geoLocation latitude longitude company_rep companyRep dun_bradstreet dunBradstreet ip name display_name
    name_normalized owner created_by createdBy modified_by modifiedBy avatar image_24 photo title status_text`,
};
const shownNames = `codes code error_code country_code user_codes pins spin shipping opinion otps motp states estate status
  cancelled excellent hotel classnumber rating being reinvoiced adobe addrtype online1 line citywide flat late longer along
  ship ipsum nameservers coowner ownership images preimage_x subtitle titles status_texts my_status_text
  refresh_token_expires_in expiresTokenAt token_type sync_token SyncToken next_token nextPageToken prev_token
  previous_page_token page_token continuation_token grant_type`;

const words = (list: string) => list.trim().split(/\s+/);

describe('what stands under a name', () => {
  it.each(Object.entries(hiddenNames))('is hidden where it is of %s', (_what, names) => {
    for (const name of words(names)) expect(bodyOf({ [name]: 'plain' })).toEqual({ [name]: '[hidden]' });
  });

  it('is shown where the name only resembles those', () => {
    for (const name of words(shownNames)) expect(bodyOf({ [name]: 'plain' })).toEqual({ [name]: 'plain' });
  });

  it('is a credential in a request called code, and no other', () => {
    const asked = sanitizedRequest(request({ url: 'https://api.example/?code=a&barcode=b&code2=c' }));
    expect(asked.query).toEqual({ code: '[hidden]', barcode: 'b', code2: 'c' });
  });

  it('keeps its shape when it is hidden', () => {
    const body = {
      token: null,
      password: '',
      session: true,
      credentials: [12, 'x', { any: 'y', none: null }],
    };
    expect(bodyOf(body)).toEqual({
      ...{ token: null, password: '', session: true },
      credentials: [0, '[hidden]', { any: '[hidden]', none: null }],
    });
  });

  it('is kept of headers that speak of limits and pages', () => {
    const kept = words(
      'content-type retry-after x-ratelimit-remaining x-rate-limit-reset ratelimit ratelimit-policy x-pagination',
    );
    const others = words('x-content-type retry-after-for my-ratelimit x-paginations x-retry-after ratelimi');
    const all = Object.fromEntries([...kept, ...others].map((name) => [name, '1']));
    const recording = sanitized(request(), { status: 200, headers: all, body: '' });
    expect(Object.keys(recording.response.headers)).toEqual(kept);
  });
});

describe('what has the shape of', () => {
  const shapes: Record<string, { hidden: readonly string[]; shown: readonly string[] }> = {
    'an e-mail address': { hidden: ['a@b.cd', '<a@b.cd>'], shown: ['@b.cd', 'a@b', 'a@b.', 'a@.', 'a.b'] },
    'a telephone number': {
      hidden: words('+123456789 +1(555)010.0134 (555)0100134 (555)-010-0134 555-010-0134 555.010.0134'),
      shown: words(
        '5550100134 +12345678 555-010-01345 1555-010-0134 1(555)010-0134 (555)010-01345 55-010-0134 a+b',
      ),
    },
    'a number of a person or an employer': {
      hidden: ['987-65-4320', '00-1234567'],
      shown: words('1987-65-4320 -987-65-4320 987-65-43201 987-65-4320-1 100-1234567 00-12345678 2026-11-30'),
    },
    'a token': {
      hidden: ['eyJhbGciOiJI', 'a=eyJhbGciOiJI', 'xoxb-1', 'xapp.1', 'xwfp-a', 'Basic+dXNlcg=='],
      shown: [
        'eyJabc',
        'keyJournalEntries',
        '1eyJournalEntries',
        'boxoxb-1',
        'xoxb',
        'xoxb:1',
        'basic:abcdefg',
      ],
    },
    'a key': { hidden: ['-----BEGIN X-----'], shown: ['----BEGIN'] },
    'something opaque': {
      hidden: [`${'a'.repeat(31)}1`, `${'1'.repeat(31)}a`, `=${'a1'.repeat(16)}`, `${'a1.-'.repeat(8)}`],
      shown: [
        ...[`${'a'.repeat(30)}1`, 'a'.repeat(32), '1'.repeat(32)],
        '0b0f4a5e-6a4e-4a57-9a3e-2f2f6f7f8f90',
      ],
    },
    'a UUID, with more to it': {
      hidden: ['x0b0f4a5e-6a4e-4a57-9a3e-2f2f6f7f8f90', '0b0f4a5e-6a4e-4a57-9a3e-2f2f6f7f8f90x'],
      shown: [],
    },
  };

  it.each(Object.entries(shapes))('%s', (_what, { hidden, shown }) => {
    for (const text of hidden) expect([text, bodyOf({ x: text })]).toEqual([text, { x: '[hidden]' }]);
    for (const text of shown) expect([text, bodyOf({ x: text })]).toEqual([text, { x: text }]);
  });

  it('a token after a word of a request, and what only stands there like one', () => {
    const query = (x: string) =>
      sanitizedRequest(request({ url: `https://a.example/?x=${encodeURIComponent(x)}` })).query.x;
    for (const text of ['Bearer abc123', 'got basic dXNlcg==']) expect(query(text)).toBe('[hidden]');
    for (const text of [
      ...['Bearer abc', 'unbasic abcdefg', 'Basic <abcdef>', `${'a'.repeat(32)} 1`, `1 ${'a'.repeat(32)}`],
      "select * from Invoice where token = 'abc'",
    ])
      expect(query(text)).toBe(text);
  });

  it.each([
    '2026-11-23T10:00',
    '2026-11-23T10:00:00',
    '2026-11-23T10:00:00.123Z',
    '2026-11-23T10:00+0100',
    '2026-11-23T10:00:00-08:00',
  ])('a time, which in a request is any: %s', (text) => {
    const url = `https://api.example/since/${encodeURIComponent(text)}/x?at=<${encodeURIComponent(text)}>`;
    expect(sanitizedRequest(request({ url }))).toMatchObject({
      path: '/since/[time]/x',
      query: { at: '<[time]>' },
    });
  });
});

describe('text', () => {
  it.each([
    ['https://api.example/a/b', 'https://api.example/a/b'],
    ['http://api.example/a/b?x=1', 'http://api.example/a/b?[hidden]'],
    ['https://api.example/jane@shipper.example/b', 'https://api.example/[hidden]/b'],
    ['https://api.example/%zz/b', 'https://api.example/[hidden]/b'],
    ['acme:12', 'acme:12'],
    ['https://', 'https://'],
    ['1.0', '1.0'],
    ['  {"client_secret": "abc", "n": 1.0}', '{"client_secret":"[hidden]","n":1}'],
    ['[hidden', '[hidden'],
    // An id, and the same in prose, where it may be an account's.
    ['123456789', '123456789'],
    ['Account 123456789 is closed', 'Account [redacted] is closed'],
  ])('of an answer, %j, is kept as %j', (text, kept) => {
    expect(bodyOf({ x: text })).toEqual({ x: kept });
  });

  it.each([
    ['', ''],
    ['plain', '[5 characters]'],
    ['a b=c', '[5 characters]'],
    ['&a=b', '[4 characters]'],
    ['a=<b>', '[5 characters]'],
    ['a=b&token=c', { a: 'b', token: '[hidden]' }],
  ])('that is a whole answer, %j, is kept as %j', (text, kept) => {
    expect(bodyOf(text)).toEqual(kept);
  });

  it('of a request that sends none is none', () => {
    expect(sanitizedRequest(request()).body).toBeNull();
    expect(sanitizedRequest(request({ method: 'POST', body: '' })).body).toBeNull();
    expect(sanitizedRequest(request({ url: 'https://api.example/%zz' })).path).toBe('/[hidden]');
  });
});
