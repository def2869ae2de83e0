import { describe, expect, it } from 'vitest';
import { allowedReturnTo } from '../../src/connections/returnTo.ts';

const publicUrl = 'https://integrations.example.com';
const origins = ['https://app.example.com', 'http://localhost:3000'];
const allowed = (returnTo: string, list: readonly string[] = origins) =>
  allowedReturnTo(returnTo, publicUrl, list);

describe('allowedReturnTo', () => {
  it.each([
    ['https://app.example.com/settings?tab=1#top', 'https://app.example.com/settings?tab=1#top'],
    ['https://APP.example.com', 'https://app.example.com/'],
    ['https://app.example.com:443/x', 'https://app.example.com/x'],
    ['http://localhost:3000/', 'http://localhost:3000/'],
  ])('lets %s through', (returnTo, href) => {
    expect(allowed(returnTo)).toBe(href);
  });

  it('takes a relative address from the public URL, when that is on the list', () => {
    expect(allowed('/done', [publicUrl])).toBe('https://integrations.example.com/done');
    expect(allowed('/done')).toBeUndefined();
  });

  it.each([
    'https://evil.test',
    '//evil.test',
    '///evil.test',
    '/\\evil.test',
    '\\\\evil.test',
    '/\t/evil.test',
    '/\n/evil.test',
    '\t//evil.test',
    ' //evil.test',
    'https:evil.test',
    'https:/evil.test',
    'https:\\\\evil.test',
    'https://app.example.com.evil.test',
    'https://app.example.com@evil.test',
    'https://user:pw@app.example.com/',
    'https://user@app.example.com/',
    'https://app.example.com:8443/',
    'http://app.example.com/',
    'https://evil.test#https://app.example.com',
    'https://evil.test/https://app.example.com',
    'https://evil.test?https://app.example.com',
    'https://app。example。com.evil.test',
    'https://аpp.example.com',
    'https://app.example.com%2eevil.test',
    'https://app.example.com\\.evil.test',
    'https://app.example.com%00.evil.test',
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'java\tscript:alert(1)',
    'data:text/html,<script>1</script>',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://app.example.com/x',
    'ftp://app.example.com/',
    'ws://app.example.com/',
    'http://localhost:3000.evil.test/',
    'http://localhost:30000/',
    'http://127.0.0.1:3000/',
    'http://[::1]:3000/',
    'https://',
    'http://',
    '',
    `https://app.example.com/${'x'.repeat(3000)}`,
  ])('never leaves the list for %j', (returnTo) => {
    for (const list of [origins, [...origins, publicUrl]]) {
      const href = allowed(returnTo, list);
      expect([undefined, ...list]).toContain(href && new URL(href).origin);
    }
  });

  it.each([
    'https://user:pw@app.example.com/',
    'https://user@app.example.com/',
    'https://:pw@app.example.com/',
    // Its origin is on the list; its content is anybody's.
    'blob:https://app.example.com/x',
  ])('refuses %j, whose origin is on the list', (returnTo) => {
    expect(allowed(returnTo)).toBeUndefined();
  });

  it('takes 2,048 characters and no more', () => {
    const longest = 'https://app.example.com/'.padEnd(2_048, 'x');
    expect(allowed(longest)).toBe(longest);
    expect(allowed(`${longest}x`)).toBeUndefined();
  });
});
