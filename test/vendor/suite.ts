import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCaller, type Caller } from '../../src/calls/caller.ts';
import type { HttpResponse } from '../../src/calls/http.ts';
import { systemClock } from '../../src/clock.ts';
import { createBucketsOf } from '../../src/connections/budgets.ts';
import { createTokenEndpoint, type TokenEndpoint } from '../../src/oauth/tokenEndpoint.ts';
import { createCatalog, type ConfiguredProvider } from '../../src/providers/catalog.ts';
import type { Endpoints, Provider, ProviderRequest, Target } from '../../src/providers/provider.ts';

/** One account at a vendor, and how it is entered. */
export interface Account {
  provider: Provider;
  /** Where the provider's own address is not the one to ask. A setting aims it elsewhere: `<PREFIX>_VENDOR_API_URL`. */
  endpoints?: Partial<Endpoints>;
  settingsPrefix: string;
  credentials?: { clientId: string; clientSecret: string };
  accessToken(endpoint: TokenEndpoint): Promise<string>;
  /** Where the identity call does not tell it. */
  externalId?: string;
  /** A record that is there, where a list may have none. */
  known?: { resource: string; externalId: string };
  /** From how long ago changes are asked for; null: from the beginning. */
  since: readonly (number | null)[];
}

/**
 * Reads who the account is, one page of changes of each resource, and one record of each. Only reads. What the provider's
 * file says of requests and answers is what is tried here, through the caller and its limits.
 */
export function vendorSuite(account: Account): void {
  const { provider, settingsPrefix } = account;
  const now = new Date();
  const bucketsOf = createBucketsOf();
  const answers = new Map<string, Promise<HttpResponse>>();
  let configured: ConfiguredProvider;
  let caller: Caller;
  let accessToken: string;
  let target: Target;

  /** Asked once, whoever asks: the vendors count. */
  const ask = (request: ProviderRequest): Promise<HttpResponse> => {
    const { name, prefix } = provider.tokenHeader ?? { name: 'authorization', prefix: 'Bearer ' };
    const headers = { ...request.headers, [name]: `${prefix}${accessToken}` };
    const call = () =>
      caller.call({
        integration: provider.id,
        host: new URL(request.url).host,
        buckets: bucketsOf(configured, target.externalId, request),
        priority: 'interactive',
        deadlineAtMs: Date.now() + 90_000,
        idempotent: true,
        request: () => Promise.resolve({ ...request, headers }),
        classify: provider.classify,
      });
    const key = JSON.stringify([request.method, request.url, request.body]);
    if (!answers.has(key)) answers.set(key, call());
    return answers.get(key)!;
  };
  const pageOf = async (resource: string, agoMs: number | null) => {
    const reads = provider.changes(resource);
    const position = reads.begin(agoMs === null ? null : new Date(now.getTime() - agoMs), now);
    return reads.parse(await ask(reads.request(target, position)), position);
  };

  describe(`${provider.name} itself`, () => {
    beforeAll(async () => {
      const {
        [`${settingsPrefix}_VENDOR_API_URL`]: apiUrl,
        [`${settingsPrefix}_VENDOR_TOKEN_URL`]: tokenUrl,
      } = process.env;
      const endpoints = {
        ...{ ...provider.endpoints, ...account.endpoints },
        ...(apiUrl && { ...provider.endpointsAt?.(apiUrl), apiUrl }),
        ...(tokenUrl && { tokenUrl }),
      };
      const { credentials } = account;
      configured = { provider, endpoints, limits: provider.limits, ...(credentials && { credentials }) };
      caller = createCaller({
        clock: systemClock,
        requestTimeoutMs: 20_000,
        retry: { baseMs: 1_000, capMs: 60_000, attempts: 3 },
        queue: { perBucket: 100, total: 100 },
      });
      const catalog = createCatalog([configured]);
      const common = { caller, catalog, clock: systemClock, timeoutMs: 30_000 };
      accessToken = await account.accessToken(createTokenEndpoint(common));
      target = { apiUrl: endpoints.apiUrl, externalId: account.externalId ?? '' };
    });
    afterAll(() => caller.close());

    it.each(provider.identity ? [provider.identity] : [])('says who the account is', async (identity) => {
      const { id, name } = identity.parse(await ask(identity.request(target)), target);
      expect(id).toBe(account.externalId ?? id);
      expect([id, name]).toEqual([expect.stringMatching(/./), expect.stringMatching(/./)]);
    });

    it.each(
      (provider.listed ?? provider.resources).flatMap((resource) =>
        account.since.map((agoMs) => [resource, agoMs] as const),
      ),
    )('gives a page of changes of %s since %s ms ago', async (resource, agoMs) => {
      const { changes } = await pageOf(resource, agoMs);
      for (const { externalId } of changes) expect(externalId).toMatch(provider.records.idPattern);
    });

    it.each(provider.records.only ?? provider.resources)('gives one record of %s', async (resource) => {
      const { changes } = await pageOf(resource, account.since[0]!);
      const listed = changes.find(({ kind }) => kind === 'UPSERTED')?.externalId;
      const { known } = account;
      const externalId = known?.resource === resource ? known.externalId : listed;
      if (externalId === undefined) return void process.stdout.write(`the account has no ${resource}\n`);
      const response = await ask(provider.records.request(target, resource, [externalId]));
      const found = provider.records.parse(response, resource, [externalId]);
      expect(found.get(externalId)).toMatchObject({ externalId, payload: expect.any(Object) as object });
    });
  });
}
