import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../src/errors.ts';
import { builtInProviders } from '../../src/providers/catalog.ts';
import { loadIntegrations } from '../../src/providers/configured/load.ts';
import { readIntegrations } from '../../src/providers/configured/read.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';

const read = (yaml: string, production = false) =>
  readIntegrations(yaml, { file: 'x.yaml', production, builtIn: builtInProviders });

/** The lines of what it throws; none where it does not. */
function refusals(yaml: string, production = false): string[] {
  try {
    read(yaml, production);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return error.message.split('\n');
  }
}

const base = {
  id: 'acme-crm',
  displayName: 'Acme CRM',
  authorizeUrl: 'https://login.acme.example/authorize',
  tokenUrl: 'https://login.acme.example/token',
  api: { baseUrl: 'https://api.acme.example' },
  profile: { path: '/me', idPath: 'id' },
};
/** JSON is YAML. */
const file = (...entries: object[]) => JSON.stringify({ integrations: entries });
const refused = (change: object, production = false) =>
  refusals(file({ ...base, ...change }), production).map((line) =>
    line.replace(/^x\.yaml:\d+:\d+: acme-crm\.?/, ''),
  );

describe('a file of integrations', () => {
  it('adds its own after the built-in ones', () => {
    const ids = read(file(base)).map(({ provider }) => provider.id);
    expect(ids).toEqual([...builtInProviders.map(({ id }) => id), 'acme-crm']);
    expect(read('integrations: []').map(({ provider }) => provider)).toEqual(builtInProviders);
  });

  it('names every mistake by line and column, in the order of the file, with what was meant', () => {
    const yaml = `
integrations:
  - id: acme-crm
    displayName: Acme
    authorizationUrl: https://a.example/authorize
    tokenUrl: http://a.example/token
    clientSecret: hunter2
    client_id: hunter3
    pkce: hunter4
    scopes: hunter5
    tokenHeaders: { authorization: hunter6, Host: x }
    tokenParams: { expiring: 1 }
    baseUrl: https://x.example
    api:
      baseUrl: https://\${connectionConfig.shop}.example
    profile: { path: '//evil.example/', idPath: 'a..b' }
    resources:
      a-b: { path: '/x/{id}' }
      Good: { path: '/x/{uid}', list: { path: /x, pagination: { type: cursor } } }
  - id: quickbooks
    pkce: off
  - id: Bad Id
  - just text
  - id: acme-crm
    webhookSecret: hunter7
defaults: {}
`;
    const expected = `
x.yaml:5:5: acme-crm.authorizationUrl is not known: did you mean authorizeUrl?
x.yaml:6:5: acme-crm.tokenUrl must be an https URL, or http to this machine
x.yaml:7:5: acme-crm.clientSecret does not belong into the file: set ACME_CRM_CLIENT_SECRET
x.yaml:8:5: acme-crm.client_id does not belong into the file: set ACME_CRM_CLIENT_ID
x.yaml:9:5: acme-crm.pkce must be "S256" or "off"
x.yaml:10:5: acme-crm.scopes is not known: did you mean defaultScopes?
x.yaml:11:21: acme-crm.tokenHeaders.authorization carries a secret, which does not belong into this file
x.yaml:11:45: acme-crm.tokenHeaders.Host is set by us: leave it out
x.yaml:12:20: acme-crm.tokenParams.expiring must be text (in quotes where YAML takes it for something else)
x.yaml:13:5: acme-crm.baseUrl is not known: did you mean api.baseUrl?
x.yaml:15:7: acme-crm.api.baseUrl must not have \${…}: connect has no input for it, so write the value out, one entry for each
x.yaml:16:16: acme-crm.profile.path must begin with one / and have no fragment or space
x.yaml:16:41: acme-crm.profile.idPath must be names with dots between, e.g. data.id
x.yaml:18:7: acme-crm.resources.a-b must be letters, digits and _
x.yaml:19:15: acme-crm.resources.Good.path may have {id} and {accountId} in it, and no other braces
x.yaml:19:51: acme-crm.resources.Good.list.pagination is not known: did you mean paginate?
x.yaml:21:5: quickbooks.pkce cannot be changed of a built-in integration
x.yaml:22:5: integrations[2].id must be lower-case letters, digits and -, beginning with a letter
x.yaml:22:5: integrations[2].displayName is missing
x.yaml:22:5: integrations[2].tokenUrl is missing
x.yaml:22:5: integrations[2].api is missing
x.yaml:23:5: integrations[3] must be a map of names and values
x.yaml:24:5: acme-crm.id is described twice
x.yaml:24:5: acme-crm.displayName is missing
x.yaml:24:5: acme-crm.tokenUrl is missing
x.yaml:24:5: acme-crm.api is missing
x.yaml:25:5: acme-crm.webhookSecret does not belong into the file: set ACME_CRM_WEBHOOK_SECRETS
x.yaml:26:1: defaults is not known
`;
    expect(refusals(yaml)).toEqual(expected.trim().split('\n'));
  });

  it.each([
    ['integrations:\n  - id: "hunter2\n', 'x.yaml:3:1: is not YAML: Missing closing'],
    [
      'integrations:\n  - { path: /x/{id} }\n',
      'x.yaml:2:16: is not YAML: Unexpected flow-map-start at node end',
    ],
    ['integrations:\n  - id: a\n    id: b\n', 'x.yaml:3:5: is not YAML: Map keys must be unique'],
    ['integrations:\n  - *hunter2\n', 'x.yaml: an alias leads nowhere, or to more than such a file can hold'],
    ['', 'x.yaml:1:1: integrations must be a list of integrations'],
    ['- id: acme', 'x.yaml:1:1: integrations must be a list of integrations'],
    ['integrations: 3', 'x.yaml:1:1: integrations must be a list of integrations'],
  ])('that is none is refused: %j', (yaml, line) => {
    expect(refusals(yaml)).toEqual([line]);
  });

  it('may use anchors, and not to blow itself up', () => {
    const yaml = `
integrations:
  - { id: one, displayName: One, tokenUrl: 'https://a.example/t', authorizeUrl: 'https://a.example/a', api: &api { baseUrl: 'https://a.example' }, profile: &me { path: /me, idPath: id } }
  - { id: two, displayName: Two, tokenUrl: 'https://a.example/t', authorizeUrl: 'https://a.example/a', api: *api, profile: *me }
`;
    expect(read(yaml).at(-1)!.provider.endpoints.apiUrl).toBe('https://a.example');
    const bomb = Array.from('bcdefghij', (name, i) => {
      const times = Array(20).fill(`*${'abcdefghi'[i]}`).join(',');
      return `${name}: &${name} [${times}]`;
    });
    expect(refusals(`a: &a [x]\n${bomb.join('\n')}`)).toEqual([
      'x.yaml: an alias leads nowhere, or to more than such a file can hold',
    ]);
  });

  it('changes the name, endpoints, scopes and limits of a built-in integration, and nothing else', () => {
    const yaml = file({
      id: 'quickbooks',
      displayName: 'Books',
      revokeUrl: 'https://proxy.example/revoke',
      api: { baseUrl: 'https://proxy.example/books/' },
      defaultScopes: ['openid'],
      rateLimits: [
        { limit: 5, windowSec: 2 },
        { concurrency: 3, key: ['app'] },
      ],
      allowPrivateNetwork: true,
    });
    const changed = read(yaml).find(({ provider }) => provider.id === 'quickbooks')!;
    expect(changed).toEqual({
      provider: {
        ...quickbooks,
        name: 'Books',
        endpoints: {
          ...quickbooks.endpoints,
          revokeUrl: 'https://proxy.example/revoke',
          apiUrl: 'https://proxy.example/books',
        },
        oauth: { ...quickbooks.oauth, scopes: ['openid'] },
        limits: [
          { name: 'limit 1', limit: 5, windowMs: 2_000 },
          { name: 'limit 2', limit: 3, windowMs: 0, per: [] },
        ],
      },
      allowPrivateNetwork: true,
      verified: true,
      isAimed: true,
    });
    const slackAt = file({ id: 'slack', api: { baseUrl: 'https://proxy.example/api' } });
    expect(read(slackAt)[1]!.provider.endpoints).toMatchObject({
      authorizeUrl: 'https://slack.com/oauth/v2/authorize',
      tokenUrl: 'https://proxy.example/api/oauth.v2.access',
    });
    expect(read(file({ id: 'slack', displayName: 'S' }))[1]).toMatchObject({ isAimed: false });
    expect(read(yaml).map(({ provider }) => provider.id)).toEqual(builtInProviders.map(({ id }) => id));
  });

  it('is read from disk, and says so when it cannot be', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'integrations-'));
    const path = join(directory, 'acme.yaml');
    await writeFile(path, file(base));
    expect((await loadIntegrations({ path, production: true })).at(-1)!.provider.id).toBe('acme-crm');
    await rm(directory, { recursive: true });
    await expect(loadIntegrations({ path, production: true })).rejects.toThrow(
      `INTEGRATIONS_FILE ${path} cannot be read (ENOENT)`,
    );
    expect(await loadIntegrations({ path: undefined, production: true })).toHaveLength(
      builtInProviders.length,
    );
  });
});

describe('a described URL', () => {
  const urlIn: [member: string, put: (url: string) => object][] = [
    ['authorizeUrl', (url) => ({ authorizeUrl: url })],
    ['tokenUrl', (url) => ({ tokenUrl: url })],
    ['refreshUrl', (url) => ({ refreshUrl: url })],
    ['revokeUrl', (url) => ({ revokeUrl: url })],
    ['api.baseUrl', (url) => ({ api: { baseUrl: url } })],
  ];

  it.each(urlIn)(
    '%s is https, to a host of the internet, without credentials and fragment',
    (member, put) => {
      const wrong: [url: string, why: string][] = [
        ['', 'must be an https URL'],
        ['acme.example', 'must be an https URL'],
        ['ftp://acme.example', 'must be an https URL'],
        ['https:acme.example', 'must be an https URL'],
        ['javascript:alert(1)', 'must be an https URL'],
        ['http://acme.example', 'must be an https URL, or http to this machine'],
        ['http://10.0.0.1', 'must be an https URL, or http to this machine'],
        ['https://user@acme.example', 'must not have a user name or password in it'],
        ['https://user:hunter2@acme.example', 'must not have a user name or password in it'],
        ['https://acme.example/#top', 'must not have a fragment'],
        ['https://acme.example/#', 'must not have a fragment'],
        ['https://0.0.0.0', 'leads to an address that nobody serves an API at'],
        ['https://169.254.169.254/latest', 'leads to an address that nobody serves an API at'],
        ['https://2852039166/latest', 'leads to an address that nobody serves an API at'],
        ['https://[::]', 'leads to an address that nobody serves an API at'],
        ['https://10.1.2.3', 'is in a private network: say allowPrivateNetwork: true to allow that'],
        ['https://[fc00::1]', 'is in a private network: say allowPrivateNetwork: true to allow that'],
        ['https://${connectionConfig.shop}.example', noTemplate],
      ];
      for (const [url, why] of wrong) expect([url, refused(put(url))]).toEqual([url, [`${member} ${why}`]]);
    },
  );

  it.each(urlIn)(
    '%s may lead to this machine outside production, and into a private network where that is allowed',
    (_member, put) => {
      const local = [
        'http://localhost:4001/x',
        'http://127.0.0.1:4001',
        'http://[::1]:4001',
        'https://localhost',
      ];
      for (const url of local) expect([url, refused(put(url))]).toEqual([url, []]);
      for (const url of local) expect([url, refused(put(url), true)]).not.toEqual([url, []]);
      const inside = { ...put('https://192.168.1.5:8443'), allowPrivateNetwork: true };
      expect(refused(inside, true)).toEqual([]);
      const metadata = { ...put('https://169.254.169.254'), allowPrivateNetwork: true };
      expect(refused(metadata, true)).toHaveLength(1);
    },
  );

  it('that paths are appended to has no query, and loses its last slash', () => {
    expect(refused({ api: { baseUrl: 'https://acme.example/v1?x=1' } })).toEqual([
      'api.baseUrl must not have a query: there is defaultQuery',
    ]);
    const { provider } = read(file({ ...base, api: { baseUrl: 'https://acme.example/v1//' } })).at(-1)!;
    expect(provider.endpoints.apiUrl).toBe('https://acme.example/v1');
  });
});

const noTemplate =
  'must not have ${…}: connect has no input for it, so write the value out, one entry for each';

describe('an entry that contradicts itself', () => {
  const hmac = { scheme: 'hmac', header: 'x-signature' };
  const webhook = (more: object) => ({ webhook: { verifier: hmac, secretOf: 'connection', ...more } });
  const list = (paginate: object) => ({ resources: { A: { list: { path: '/a', paginate } } } });

  it.each<[object, string]>([
    [
      { authMode: 'oauth2_client_credentials' },
      'authMode is not supported by this version: oauth2_code and oauth2_password are',
    ],
    [
      { authMode: 'api_key' },
      'authMode is not supported by this version: oauth2_code and oauth2_password are',
    ],
    [{ authorizeUrl: undefined }, 'authorizeUrl is missing'],
    [
      { authMode: 'oauth2_password' },
      'authorizeUrl is not used where a user name and password are: leave it out',
    ],
    [
      { profile: undefined },
      'profile is missing: without it, or accountId, nothing says which account was connected',
    ],
    [
      { clientAuth: 'none', pkce: 'off' },
      'pkce must be S256 for a client without a secret (RFC 9700 §2.1.1)',
    ],
    [{ issExpected: true }, 'issuer is missing: issExpected needs it'],
    [{ revoke: { style: 'json' } }, 'revokeUrl is missing: revoke needs it'],
    [
      { revoke: { style: 'none' }, revokeUrl: 'https://a.example/revoke' },
      'revokeUrl is not used: revoke.style is none',
    ],
    [{ accountId: { from: 'callback' } }, 'accountId.path is missing'],
    [{ accountId: { from: 'token' } }, 'accountId.path is missing'],
    [{ accountId: { from: 'token', path: 'a', pattern: 'x' } }, 'accountId.pattern is only for callback'],
    [{ accountId: { from: 'apiCall', path: 'id' } }, 'accountId.path belongs into profile.idPath'],
    [
      { accountId: { from: 'callback', path: 'a', pattern: '(' } },
      'accountId.pattern must be a regular expression',
    ],
    [
      { accountId: { from: 'callback', path: 'a', pattern: '.*' } },
      'accountId.pattern must not match an empty text, . or ..',
    ],
    [{ rateLimits: [] }, 'rateLimits must have one'],
    [{ rateLimits: [{ limit: 1 }] }, 'rateLimits[0] needs limit and windowSec, or concurrency'],
    [
      { rateLimits: [{ limit: 1, windowSec: 1, concurrency: 1 }] },
      'rateLimits[0] needs limit and windowSec, or concurrency',
    ],
    [{ rateLimits: [{ limit: 0, windowSec: 1 }] }, 'rateLimits[0].limit must be at least 1'],
    [{ rateLimits: [{ limit: 1.5, windowSec: 1 }] }, 'rateLimits[0].limit must be a whole number'],
    [{ authorizeParams: { State: 'x' } }, 'authorizeParams.State is set by us: leave it out'],
    [{ tokenParams: { client_secret: 'x' } }, 'tokenParams.client_secret is set by us: leave it out'],
    [{ resources: { A: {} } }, 'resources.A needs a path, a batch or a list'],
    [{ resources: { A: { path: '/a' } } }, 'resources.A.path must have {id} in it'],
    [
      { resources: { A: { batch: { path: '/a', size: 2 } } } },
      'resources.A.batch.path must have {ids} in it',
    ],
    [list({ type: 'cursor', param: 'a' }), 'resources.A.list.paginate.cursorPath is missing'],
    [list({ type: 'page' }), 'resources.A.list.paginate.param is missing'],
    [list({ type: 'link', param: 'a' }), 'resources.A.list.paginate.param is not for link'],
    [webhook({ verifier: { scheme: 'hmac' } }), 'webhook.verifier.header is missing'],
    [
      webhook({ verifier: { scheme: 'github', prefix: 'x' } }),
      'webhook.verifier.prefix is only for scheme: hmac',
    ],
    [
      webhook({ verifier: { ...hmac, signedTemplate: '{x}.{body}' } }),
      'webhook.verifier.signedTemplate must have {body} once, and may have {ts} and {id}',
    ],
    [
      webhook({ verifier: { ...hmac, signedTemplate: '{ts}.{body}' } }),
      'webhook.verifier.timestampHeader belongs together with {ts} in signedTemplate',
    ],
    [
      webhook({ verifier: { ...hmac, timestampHeader: 'x-t' } }),
      'webhook.verifier.timestampHeader belongs together with {ts} in signedTemplate',
    ],
    [
      webhook({ verifier: { ...hmac, signedTemplate: '{id}{body}' } }),
      'webhook.verifier.idHeader is missing: signedTemplate has {id}',
    ],
    [
      webhook({ secretOf: 'application' }),
      'webhook.tenantIdPath is missing: where one secret signs for all, the body has to say whose it is',
    ],
    [
      webhook({ typePath: 't', events: [{ type: 'a', resource: 'B', idPath: 'id' }] }),
      'webhook.events[0].resource is not one of resources',
    ],
  ])('is refused: %j', (change, line) => {
    expect(refused(change)).toEqual([line]);
  });
});
