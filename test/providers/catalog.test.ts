import { describe, expect, it } from 'vitest';
import {
  builtInProviders,
  createCatalog,
  createReachOf,
  type ConfiguredProvider,
} from '../../src/providers/catalog.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';

const configured = (id: string): ConfiguredProvider => ({
  provider: { ...quickbooks, id },
  endpoints: quickbooks.endpoints,
  limits: quickbooks.limits,
});

describe('createCatalog', () => {
  it('lists in the given order and finds by id', () => {
    const [one, two] = [configured('one'), configured('two')];
    const catalog = createCatalog([two, one]);
    expect(catalog.list()).toEqual([two, one]);
    expect(catalog.find('one')).toBe(one);
  });

  it.each(['', 'One', 'three', 'constructor', '__proto__'])('does not find %j', (id) => {
    expect(createCatalog([configured('one')]).find(id)).toBeUndefined();
  });
});

describe('createReachOf', () => {
  const catalog = createCatalog([
    configured('plain'),
    { ...configured('inside'), allowPrivateNetwork: true },
    { ...configured('aimed'), aimedAt: ['10.0.0.1:8443'] },
  ]);

  it.each([
    ['plain', 'a.example', 'public', 'loopback'],
    ['inside', 'a.example', 'private', 'private'],
    ['aimed', '10.0.0.1:8443', 'anywhere', 'anywhere'],
    ['aimed', '10.0.0.1', 'public', 'loopback'],
    ['unknown', 'a.example', 'public', 'loopback'],
  ])('lets %s at %s go %s in production, %s outside', (id, host, inProduction, outside) => {
    expect(createReachOf(catalog, true)(id, host)).toBe(inProduction);
    expect(createReachOf(catalog, false)(id, host)).toBe(outside);
  });
});

describe('builtInProviders', () => {
  it('have ids of their own', () => {
    const ids = builtInProviders.map(({ id }) => id);
    expect(ids).toContain('quickbooks');
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each(builtInProviders.map((provider) => [provider.id, provider] as const))(
    '%s is well-formed',
    (id, provider) => {
      // Settings and routes are made of the id.
      expect(id).toMatch(/^[a-z][a-z0-9-]*$/);
      const { authorizeUrl, revokeUrl, ...used } = provider.endpoints;
      const { grant, revocation } = provider.oauth;
      // What a provider does not have is empty.
      expect(authorizeUrl === '').toBe(grant === 'password');
      expect(revokeUrl === '').toBe(revocation === 'none');
      for (const url of [authorizeUrl, revokeUrl, ...Object.values(used)].filter((one) => one !== '')) {
        expect(url).toMatch(/^https:\/\//);
        expect(url).not.toMatch(/\/$/);
      }
      expect(provider.resources.length).toBeGreaterThan(0);
      expect(provider.limits.length).toBeGreaterThan(0);
      for (const { limit, windowMs } of provider.limits) {
        expect(limit).toBeGreaterThan(0);
        expect(windowMs).toBeGreaterThanOrEqual(0);
      }
      expect(new Set(provider.limits.map(({ name }) => name)).size).toBe(provider.limits.length);
      expect(provider.records.batchSize).toBeGreaterThan(0);
      // Without both anchors a pattern lets anything through; with g or y it remembers the last match.
      for (const pattern of [provider.records.idPattern, provider.oauth.externalIdParam?.pattern ?? /^$/]) {
        expect(pattern.source).toMatch(/^\^.*\$$/);
        expect(pattern.flags).not.toMatch(/[gym]/);
      }
      expect(Object.keys(provider.oauth.tokenHeaders).filter((name) => name !== name.toLowerCase())).toEqual(
        [],
      );
    },
  );
});
