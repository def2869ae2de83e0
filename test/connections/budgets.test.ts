import { describe, expect, it } from 'vitest';
import { createBucketsOf } from '../../src/connections/budgets.ts';
import type { ConfiguredProvider } from '../../src/providers/catalog.ts';
import type { RateLimit } from '../../src/providers/provider.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';
import { slackLimits } from '../../src/providers/slackLimits.ts';

const configured = (limits: readonly RateLimit[], clientId = 'app'): ConfiguredProvider => ({
  provider: quickbooks,
  endpoints: quickbooks.endpoints,
  credentials: { clientId, clientSecret: 'x' },
  limits,
});
const names = (limits: readonly RateLimit[], operation?: string, subject?: string) =>
  createBucketsOf()(configured(limits), 'T1', {
    ...(operation !== undefined && { operation }),
    ...(subject !== undefined && { subject }),
  }).map(({ key, limit, windowMs }) => {
    const [, , name] = JSON.parse(key) as string[];
    return `${name} ${limit}/${windowMs}`;
  });

describe('the buckets of a call', () => {
  it('are all limits of QuickBooks for a read, and that of batches too for a batch', () => {
    expect(names(quickbooks.limits)).toEqual(['second 10/1000', 'minute 500/60000', 'concurrent 10/0']);
    expect(names(quickbooks.limits, 'batch')).toContain('batch 40/60000');
  });

  it.each([
    ['auth.test', ['special 100/60000']],
    ['team.info', ['tier 3 50/60000']],
    ['conversations.list', ['tier 2 20/60000']],
    ['something.new', ['tier 2 20/60000']],
    ['chat.postMessage', ['channel 1/1000', 'messages 100/60000']],
  ])('are those of the tier for Slack’s %s', (operation, expected) => {
    expect(names(slackLimits, operation, 'C1')).toEqual(expected);
  });

  it('are counted apart by application, account, operation and subject, as the limit says, and by nothing else', () => {
    const bucketsOf = createBucketsOf();
    const limits: RateLimit[] = [
      { name: 'app', limit: 9, windowMs: 1_000, per: [] },
      { name: 'account', limit: 9, windowMs: 1_000 },
      { name: 'method', limit: 9, windowMs: 1_000, per: ['account', 'operation'] },
      { name: 'channel', limit: 9, windowMs: 1_000, per: ['account', 'operation', 'subject'] },
    ];
    const keys = (account: string, operation: string, subject: string, clientId?: string) =>
      bucketsOf(configured(limits, clientId), account, { operation, subject }).map(({ key }) => key);
    const shared = (one: string[], other: string[]) => one.map((key, i) => key === other[i]);
    const base = keys('T1', 'post', 'C1');
    expect(shared(base, keys('T2', 'post', 'C1'))).toEqual([true, false, false, false]);
    expect(shared(base, keys('T1', 'list', 'C1'))).toEqual([true, true, false, false]);
    expect(shared(base, keys('T1', 'post', 'C2'))).toEqual([true, true, true, false]);
    expect(shared(base, keys('T1', 'post', 'C1', 'other app'))).toEqual([false, false, false, false]);
  });

  it('are the same list for the same call, and only what no account counts alone is application-wide', () => {
    const bucketsOf = createBucketsOf();
    const provider = configured([
      { name: 'app', limit: 9, windowMs: 1_000, per: [] },
      { name: 'account', limit: 9, windowMs: 1_000 },
    ]);
    const buckets = bucketsOf(provider, 'T1', {});
    expect(bucketsOf(provider, 'T1', {})).toBe(buckets);
    expect(buckets.map(({ appWide }) => appWide)).toEqual([true, undefined]);
  });
});
