import { readFile } from 'node:fs/promises';
import { format, resolveConfig } from 'prettier';
import { beforeAll, describe, expect, it } from 'vitest';
import { authorizationUrl } from '../../src/oauth/redirect.ts';
import { codeExchangeRequest, refreshRequest, revokeRequest } from '../../src/oauth/protocol.ts';
import { builtInProviders } from '../../src/providers/catalog.ts';
import { jsonSchemaOf } from '../../src/providers/configured/jsonSchema.ts';
import type { DescribedProvider } from '../../src/providers/configured/described.ts';
import { readIntegrations } from '../../src/providers/configured/read.ts';
import type { Provider } from '../../src/providers/provider.ts';

const page = (name: string) => readFile(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
const read = (text: string, file: string) =>
  readIntegrations(text, { file, production: true, builtIn: builtInProviders }).slice(
    builtInProviders.length,
  );

const ids = [
  ...['github', 'gitlab', 'google', 'microsoft', 'hubspot', 'salesforce'],
  ...['xero', 'shopify', 'zoom', 'atlassian', 'asana', 'dropbox'],
];
let text: string;
let shipped: Map<string, DescribedProvider>;
const providerOf = (id: string): Provider => shipped.get(id)!.provider;
const target = (id: string) => ({ apiUrl: providerOf(id).endpoints.apiUrl, externalId: 'account-1' });

beforeAll(async () => {
  text = await page('integrations.yaml');
  shipped = new Map(read(text, 'integrations.yaml').map((one) => [one.provider.id, one]));
});

describe('docs/integrations.yaml', () => {
  it('describes a dozen', () => {
    expect([...shipped.keys()]).toEqual(ids);
  });

  it.each(ids)('says of %s that it is not verified, and where it is documented', (id) => {
    expect(shipped.get(id)!.verified).toBe(false);
    const [, entry = ''] = text.split(`- id: ${id}\n`);
    expect(entry.split('\n  - id: ')[0]).toMatch(/^ {4}docs: https:\/\//m);
    const comment = text
      .split(`  - id: ${id}\n`)[0]!
      .split('\n\n')
      .at(-1)!
      .replaceAll(/\n? *# ?/g, ' ');
    expect(comment).toContain('Not verified against the live service.');
  });

  it.each(ids)('gives %s a whole provider', (id) => {
    const { endpoints, oauth, resources, limits, identity, changes, records, listed } = providerOf(id);
    expect(new URL(endpoints.authorizeUrl).protocol).toBe('https:');
    expect(endpoints.revokeUrl === '').toBe(oauth.revocation === 'none');
    expect(limits.length).toBeGreaterThan(0);
    expect(identity).toBeDefined();

    const client = { clientId: 'client', clientSecret: 'secret' };
    const url = new URL(
      authorizationUrl(endpoints, oauth, {
        clientId: 'client',
        redirectUri: `https://us.example/oauth/${id}/callback`,
        scopes: oauth.scopes,
        state: 'state',
        codeChallenge: 'challenge',
      }),
    );
    expect(url.searchParams.get('scope') ?? '').toBe(oauth.scopes.join(oauth.scopeSeparator));
    const grant = { code: 'code', redirectUri: 'https://us.example', codeVerifier: 'verifier' };
    for (const request of [
      codeExchangeRequest(endpoints, oauth, client, grant),
      refreshRequest(endpoints, oauth, client, 'refresh'),
      ...(oauth.revocation === 'none' ? [] : [revokeRequest(endpoints, oauth, client, 'refresh')]),
    ]) {
      const carried = `${request.headers.authorization ?? ''} ${request.body}`;
      expect(carried).toContain(oauth.clientAuthentication === 'basic' ? 'Basic ' : 'secret');
      expect(() => new URL(request.url)).not.toThrow();
    }

    const { apiUrl } = endpoints;
    expect(identity!.request(target(id)).url.startsWith(`${apiUrl}/`)).toBe(true);
    for (const resource of records.only ?? resources)
      expect(records.request(target(id), resource, ['42']).url).toMatch(/\b42\b/);
    for (const resource of listed!) {
      const reads = changes(resource);
      const begin = reads.begin(new Date('2026-11-01T00:00:00Z'), new Date('2026-11-02T00:00:00Z'));
      expect(reads.request(target(id), begin).url.startsWith(`${apiUrl}/`)).toBe(true);
    }
  });

  it('asks each provider as its documentation has it', () => {
    const recordUrl = (id: string, resource: string, recordIds: string[]) =>
      providerOf(id).records.request(target(id), resource, recordIds).url;
    expect(recordUrl('hubspot', 'Contact', ['512'])).toBe(
      'https://api.hubapi.com/crm/v3/objects/contacts/512',
    );
    expect(recordUrl('xero', 'Invoice', ['a', 'b'])).toBe(
      'https://api.xero.com/api.xro/2.0/Invoices?IDs=a%2Cb',
    );
    expect(recordUrl('atlassian', 'Issue', ['10002'])).toBe(
      'https://api.atlassian.com/ex/jira/account-1/rest/api/3/issue/10002',
    );
    const { headers } = providerOf('xero').records.request(target('xero'), 'Invoice', ['a']);
    expect(headers['xero-tenant-id']).toBe('account-1');
    expect(providerOf('shopify').tokenHeader).toEqual({ name: 'x-shopify-access-token', prefix: '' });
    expect(providerOf('dropbox').identity!.request(target('dropbox')).method).toBe('POST');
    const { changes } = providerOf('gitlab');
    const since = changes('Project').begin(new Date('2026-11-01T00:00:00Z'), new Date());
    expect(changes('Project').request(target('gitlab'), since).url).toBe(
      'https://gitlab.com/api/v4/projects?membership=true&pagination=keyset&order_by=id&per_page=100&last_activity_after=2026-11-01T00%3A00%3A00.000Z',
    );
  });
});

describe('docs/integrations.schema.json', () => {
  it('is what the code says; `npm test -- test/providers/configuredShipped.test.ts -u` writes it anew', async () => {
    const options = await resolveConfig(new URL('../../docs/integrations.schema.json', import.meta.url));
    const schema = jsonSchemaOf(builtInProviders.map(({ id }) => id));
    const formatted = await format(JSON.stringify(schema), { ...options, parser: 'json' });
    await expect(formatted).toMatchFileSnapshot('../../docs/integrations.schema.json');
  });

  it('is named in the first line of the file, for editors', () => {
    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=./integrations.schema.json');
  });

  it('describes every member of an entry', async () => {
    const schema = JSON.parse(await page('integrations.schema.json')) as Schema;
    const { then: changes, else: entry } = schema.properties!.integrations!.items!;
    expect([...bare(changes!), ...bare(entry!)]).toEqual([]);
  });
});

interface Schema {
  description?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | false;
  items?: Schema;
  then?: Schema;
  else?: Schema;
}

/** Members without a description. */
function bare(schema: Schema, at = ''): string[] {
  const inside = [schema.items, schema.additionalProperties || undefined].filter((one) => one !== undefined);
  const members = Object.entries(schema.properties ?? {}).flatMap(([name, own]) => [
    ...(own.description === undefined ? [`${at}${name}`] : []),
    ...bare(own, `${at}${name}.`),
  ]);
  return [...members, ...inside.flatMap((one) => bare(one, at))];
}

describe('docs/describing-an-integration.md', () => {
  it('has only examples that are right', async () => {
    const examples = [...(await page('describing-an-integration.md')).matchAll(/```yaml\n([\s\S]*?)```/g)];
    expect(examples.length).toBeGreaterThanOrEqual(3);
    for (const [, example] of examples) expect(() => read(example!, 'the page')).not.toThrow();
  });
});
