import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { learntFrom, type Learnt } from '../../src/calls/rateLimitHeaders.ts';

const now = Date.parse('2026-11-23T06:00:00Z');
const day = 86_400_000;
const policy = '"burst";q=100;w=60,"daily";q=1000;w=86400';
const daily = { 'ratelimit-policy': policy, ratelimit: '"daily";r=7;t=30' };

describe('learntFrom', () => {
  it.each<[string, Record<string, string>, Learnt[]]>([
    [
      'both lists, joined by name',
      { 'ratelimit-policy': policy, ratelimit: '"daily";r=900;t=4000, "burst";r=50;t=30' },
      [
        { limit: 1_000, windowMs: day, remaining: 900, resetMs: 4_000_000 },
        { limit: 100, windowMs: 60_000, remaining: 50, resetMs: 30_000 },
      ],
    ],
    [
      'spaces, tokens for names, and parameters of all types',
      {
        'ratelimit-policy':
          ' default ; q=10; w=1;pk=:YQ==:;a;b=?1;c=@1;d=1.5;e="x,\\";y";f=tok/en;g=%"%c3%bc" , "b";q=1',
        ratelimit: ' default;\tr=3 ;t=1;q=77 ',
      },
      [{ limit: 10, windowMs: 1_000, remaining: 3, resetMs: 1_000 }],
    ],
    ['no policy', { ratelimit: '"a";r=5' }, [{ remaining: 5 }]],
    [
      'a policy of another name',
      { 'ratelimit-policy': policy, ratelimit: '"hourly";r=5;t=9' },
      [{ remaining: 5, resetMs: 9_000 }],
    ],
    [
      'a policy without a window',
      { 'ratelimit-policy': '"a";q=5;qu="requests"', ratelimit: '"a";r=5' },
      [{ limit: 5, remaining: 5 }],
    ],
    [
      'other units beside requests',
      {
        'ratelimit-policy': '"b";q=9;qu="content-bytes","c";q=9;qu="concurrent-requests","r";q=9',
        ratelimit: '"b";r=1,"c";r=2,"r";r=3,"d";r=4;qu="content-bytes"',
      },
      [{ limit: 9, remaining: 3 }],
    ],
    [
      'a policy header that is malformed',
      { 'ratelimit-policy': `${policy},`, ratelimit: '"daily";r=7;t=30' },
      [{ remaining: 7, resetMs: 30_000 }],
    ],
    ...['"x";w=9', '"x";q=-1', '"x";q=5;w=0', '7;q=5', '"x"'].map(
      (second): [string, Record<string, string>, Learnt[]] => [
        `a policy that is malformed beside a good one: ${second}`,
        { 'ratelimit-policy': `"daily";q=10, ${second}`, ratelimit: '"daily";r=7' },
        [{ remaining: 7 }],
      ],
    ),
    [
      'a policy of nothing beside a good one, and the unit in the singular',
      { 'ratelimit-policy': '"daily";q=10;qu="request", "none";q=0', ratelimit: '"daily";r=7' },
      [{ limit: 10, remaining: 7 }],
    ],
    ['a parameter without a value behind its sign', { ratelimit: '"a";r=7;b=' }, []],
    ['the last of a parameter that is there twice', { ratelimit: '"a";r=5;r=6' }, [{ remaining: 6 }]],
    ['less than nothing', { ratelimit: '"a";r=-1;t=-5' }, [{ remaining: 0, resetMs: 0 }]],
    ['a reset in 32 days', { ratelimit: `"a";r=1;t=${32 * 86_400}` }, [{ remaining: 1 }]],
    [
      'a window of centuries',
      { 'ratelimit-policy': '"a";q=5;w=999999999999999', ratelimit: '"a";r=1' },
      [{ limit: 5, remaining: 1 }],
    ],
    [
      'a limit of nothing, which cannot be meant',
      { 'ratelimit-policy': '"a";q=0', ratelimit: '"a";r=0' },
      [{ remaining: 0 }],
    ],
    [
      'three headers of the drafts up to -06',
      {
        'ratelimit-limit': '10, 10;w=1;burst=1000;policy="leaky bucket", 1000;w=3600',
        'ratelimit-remaining': '4',
        'ratelimit-reset': '1',
      },
      [{ limit: 10, windowMs: 1_000, remaining: 4, resetMs: 1_000 }],
    ],
    [
      'policies of other numbers only',
      { 'ratelimit-limit': '10, 1000;w=3600', 'ratelimit-remaining': '4' },
      [{ limit: 10, remaining: 4 }],
    ],
    [
      'a limit that is malformed beside what is left',
      { 'ratelimit-limit': '10,', 'ratelimit-remaining': ' 4 ', 'ratelimit-reset': 'x' },
      [{ remaining: 4 }],
    ],
    [
      'X-Rate-Limit as another spelling',
      { 'x-rate-limit-limit': '15', 'x-rate-limit-remaining': '14', 'x-rate-limit-reset': '900' },
      [{ limit: 15, remaining: 14, resetMs: 900_000 }],
    ],
    ['what is left in fractions', { 'x-ratelimit-remaining': '4.7' }, [{ remaining: 4 }]],
    [
      'X-RateLimit that repeats RateLimit once',
      {
        ...daily,
        'ratelimit-remaining': '7',
        'x-ratelimit-limit': '1000',
        'x-ratelimit-remaining': '7',
        'x-ratelimit-reset': String(now / 1_000 + 31),
      },
      [{ limit: 1_000, windowMs: day, remaining: 7, resetMs: 30_000 }],
    ],
    [
      'X-RateLimit that says something else, after the IETF ones',
      { 'x-ratelimit-limit': '500', 'x-ratelimit-remaining': '7', 'ratelimit-remaining': '8', ...daily },
      [
        { limit: 1_000, windowMs: day, remaining: 7, resetMs: 30_000 },
        { remaining: 8 },
        { limit: 500, remaining: 7 },
      ],
    ],
    [
      'X-RateLimit of another window',
      { ...daily, 'x-ratelimit-remaining': '7', 'x-ratelimit-reset': '33' },
      [
        { limit: 1_000, windowMs: day, remaining: 7, resetMs: 30_000 },
        { remaining: 7, resetMs: 33_000 },
      ],
    ],
    ['a policy alone, which leaves nothing to learn', { 'ratelimit-policy': policy }, []],
    ['no headers', { 'content-type': 'application/json', 'x-ratelimit-limit': '5' }, []],
  ])('learns from %s', (_, headers, expected) => {
    expect(learntFrom(headers, now)).toEqual(expected);
  });

  it.each([
    ['0', 0],
    ['60', 60_000],
    ['1.1', 1_100],
    ['-3', 0],
    [String(now / 1_000 + 90), 90_000],
    [String(now / 1_000 - 90), 0],
    [String(now + 1_500), 1_500],
    [String(now - 1), 0],
    ['Mon, 23 Nov 2026 06:01:30 GMT', 90_000],
    ['Mon, 23 Nov 2026 05:01:30 GMT', 0],
    ['2026-11-23T07:01:30.250+01:00', 90_250],
    ['2026-11-23T06:01Z', 60_000],
    [String(31 * 86_400), 31 * day],
    [String(31 * 86_400 + 1), undefined],
    ['1000000000', undefined],
    ['1000000001', 0],
    [String(now / 1_000 + 32 * 86_400), undefined],
    ['2026-11-23T06:01:30', undefined],
    ['2026-13-23T06:01:30Z', undefined],
    ['tomorrow', undefined],
    ['1e3', undefined],
    ['0x10', undefined],
    ['NaN', undefined],
    ['Infinity', undefined],
    ['60s', undefined],
    ['', undefined],
  ])('takes a reset of %j for %j ms, whatever family has it', (reset, resetMs) => {
    const expected = [{ remaining: 1, ...(resetMs !== undefined && { resetMs }) }];
    expect(learntFrom({ 'x-ratelimit-remaining': '1', 'x-ratelimit-reset': reset }, now)).toEqual(expected);
    expect(learntFrom({ 'ratelimit-remaining': '1', 'ratelimit-reset': reset }, now)).toEqual(expected);
  });

  it.each([
    '',
    '"a"',
    '"a";r',
    '"a";r=',
    '"a";r="5"',
    '"a";r=5.5',
    '"a";r=5;t=x',
    '"a";r=5,',
    ',"a";r=5',
    '"a";r=5 "b";r=6',
    '"a";r=5;',
    '"a;r=5',
    '"a\\b";r=5',
    '"ü";r=5',
    '"a";R=5',
    '"a";r =5',
    '"a";r=1234567890123456',
    '"a";r=5.',
    '"a";r=1.2345',
    '("a" "b");r=5',
    '5;r=5',
    'limit=10, remaining=5, reset=1',

    '"a";r=5, "b";t=1',
    Array.from({ length: 33 }, (_, index) => `"${index}";r=1`).join(', '),
  ])('ignores RateLimit: %s', (ratelimit) => {
    expect(learntFrom({ ratelimit }, now)).toEqual([]);
  });

  it.each(['"daily";q=-1', '"daily"', '"daily";q=1;w=0', '"daily";q=x', '"daily";q=1;w=1.5', '7;q=1'])(
    'ignores RateLimit-Policy: %s',
    (malformed) => {
      expect(learntFrom({ ratelimit: '"daily";r=7', 'ratelimit-policy': malformed }, now)).toEqual([
        { remaining: 7 },
      ]);
    },
  );

  it.each(['', 'NaN', '1e999', '0x10', 'many', '5, 6', '+5', '1234567890123456', '5;w=1', 'Infinity'])(
    'ignores a remaining of %j',
    (remaining) => {
      for (const name of ['ratelimit-remaining', 'x-ratelimit-remaining', 'x-rate-limit-remaining'])
        expect(learntFrom({ [name]: remaining, 'x-ratelimit-limit': '10' }, now)).toEqual([]);
    },
  );

  const names = ['', 'x-'].flatMap((x) => [
    ...['limit', 'remaining', 'reset', 'policy'].map((end) => `${x}ratelimit-${end}`),
    ...['limit', 'remaining', 'reset'].map((end) => `${x}rate-limit-${end}`),
  ]);
  const piece = fc.constantFrom(
    ...['"a"', 'b', ';', ',', ' ', '=', 'r', 't', 'q', 'w', 'qu', '-', '1', '9'.repeat(15), '1.5', '\\', '"'],
    ...[':YQ==:', '?1', '@1', '%"x"', '(', '2026-11-23T06:01:30Z', 'ü', '\0', '__proto__'],
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 20 }).map((parts) => parts.join('')),
    fc.double().map(String),
  );

  it('never throws, and gives only numbers that make sense', () => {
    const headers = fc.dictionary(fc.constantFrom('ratelimit', ...names), text);
    fc.assert(
      fc.property(headers, (given) => {
        for (const { limit = 1, windowMs = 1, remaining, resetMs = 0 } of learntFrom(given, now)) {
          for (const number of [limit, windowMs, remaining, resetMs])
            expect(Number.isSafeInteger(number)).toBe(true);
          expect(Math.min(limit, windowMs)).toBeGreaterThan(0);
          expect(Math.min(remaining, resetMs)).toBeGreaterThanOrEqual(0);
          expect(resetMs).toBeLessThanOrEqual(31 * day);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('reads back every list that is written by the rules', () => {
    const key = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/).filter((k) => !['r', 't', 'qu'].includes(k));
    const name = fc.stringMatching(/^[ !#-[\]-~]{0,12}$/);
    const count = fc.integer({ min: 0, max: 1_000_000 });
    const item = fc.record({ name, count, after: fc.option(count), more: fc.dictionary(key, name) });
    fc.assert(
      fc.property(fc.array(item, { minLength: 1, maxLength: 8 }), (items) => {
        const written = items.map(({ name: own, count: r, after, more }) => {
          const rest = Object.entries(more).map(([k, value]) => `;${k}="${value}"`);
          return `"${own}"${rest.join('')}; r=${r}${after === null ? '' : `;t=${after}`}`;
        });
        expect(learntFrom({ ratelimit: written.join(' , ') }, now)).toEqual(
          items.map(({ count: remaining, after }) => ({
            remaining,
            ...(after !== null && after <= 31 * 86_400 && { resetMs: after * 1_000 }),
          })),
        );
      }),
    );
  });
});
