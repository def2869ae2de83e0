import { describe, expect, it } from 'vitest';
import { longestPauseMs, parseRetryAfter } from '../../src/calls/retryAfter.ts';

const now = Date.parse('2026-11-23T06:00:00Z');

const imf = 'Mon, 23 Nov 2026 06:01:30 GMT';
const rfc850 = 'Monday, 23-Nov-26 06:01:30 GMT';
const asctime = 'Mon Nov 23 06:01:30 2026';

describe('parseRetryAfter', () => {
  it.each([
    ['120', 120_000],
    [' 7 ', 7_000],
    ['0', 0],
    ['900', longestPauseMs],
    ['1000000000', longestPauseMs],
    ['99999999999', longestPauseMs],
    [imf, 90_000],
    [rfc850, 90_000],
    [asctime, 90_000],
    ['Sun Nov  1 06:01:30 2026', 0],
    ['Fri, 23 Nov 2029 06:00:00 GMT', longestPauseMs],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 0],
    ['Mon, 23 Nov 2026 05:59:59 GMT', 0],
    // Fifty years ahead is still to come; beyond that it was in the last century.
    ['Monday, 23-Nov-76 06:00:00 GMT', longestPauseMs],
    ['Tuesday, 23-Nov-77 06:00:00 GMT', 0],
  ])('takes %j for %i ms', (value, expected) => {
    expect(parseRetryAfter(value, now)).toBe(expected);
  });

  it.each([
    undefined,
    '',
    '-1',
    '1.5',
    '1e9',
    'Wed',
    'soon',
    '120s',
    '0x10',
    '2026-11-23T06:01:30Z',
    '9'.repeat(20),
    ...[imf, rfc850, asctime].flatMap((date) => [`- ${date}`, `in ${date}`, `${date}x`, `${date} or later`]),
    'Mon, 99 Nov 2026 06:01:30 GMT',
  ])('ignores %j', (value) => {
    expect(parseRetryAfter(value, now)).toBeUndefined();
  });
});
