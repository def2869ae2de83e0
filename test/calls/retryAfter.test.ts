import { describe, expect, it } from 'vitest';
import { longestPauseMs, parseRetryAfter } from '../../src/calls/retryAfter.ts';

const now = Date.parse('2026-11-23T06:00:00Z');

describe('parseRetryAfter', () => {
  it.each([
    ['120', 120_000],
    [' 7 ', 7_000],
    ['0', 0],
    ['900', longestPauseMs],
    ['1000000000', longestPauseMs],
    ['99999999999', longestPauseMs],
    ['Mon, 23 Nov 2026 06:01:30 GMT', 90_000],
    ['Monday, 23-Nov-26 06:01:30 GMT', 90_000],
    ['Mon Nov 23 06:01:30 2026', 90_000],
    ['Sun Nov  1 06:01:30 2026', 0],
    ['Fri, 23 Nov 2029 06:00:00 GMT', longestPauseMs],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 0],
    ['Mon, 23 Nov 2026 05:59:59 GMT', 0],
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
  ])('ignores %j', (value) => {
    expect(parseRetryAfter(value, now)).toBeUndefined();
  });
});
