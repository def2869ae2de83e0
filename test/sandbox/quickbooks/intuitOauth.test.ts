/** The official client, unmodified, as an independent judge of the emulation. */
import OAuthClient from 'intuit-oauth';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.ts';
import { mainRealmId, redirectUri } from '../../support/sandbox.ts';

const entities: Record<string, string> = { '#39': "'", quot: '"', lt: '<', gt: '>', amp: '&' };
let sandbox: Sandbox;

beforeAll(async () => {
  // The client compares expiry times with the machine's clock.
  sandbox = await startSandbox({ port: 0, clock: systemClock });
});
afterAll(() => sandbox.close());

function newClient(): OAuthClient {
  const { quickbooks } = sandbox;
  const client = new OAuthClient({
    clientId: quickbooks.clientId,
    clientSecret: quickbooks.clientSecret,
    environment: 'sandbox',
    redirectUri,
    includeRefreshTokenHardExpiresIn: true,
  });
  client.setAuthorizeURLs({
    authorizeEndpoint: quickbooks.authorizeUrl,
    tokenEndpoint: quickbooks.tokenUrl,
    revokeEndpoint: quickbooks.revokeUrl,
    userInfoEndpoint: `${quickbooks.apiUrl}/v1/openid_connect/userinfo`,
  });
  OAuthClient.jwks_uri = `${quickbooks.apiUrl}/op/v1/jwks`;
  return client;
}

/** What a browser does with the consent page: reads the form, keeps its hidden fields, presses a button. */
async function pressButton(page: string, decision: string, realmId: string): Promise<string> {
  const html = await (await fetch(page)).text();
  const form = new URLSearchParams();
  for (const [, name = '', value = ''] of html.matchAll(
    /<input type="hidden" name="([^"]*)" value="([^"]*)">/g,
  )) {
    form.append(
      name,
      value.replace(/&(#39|quot|lt|gt|amp);/g, (_, name: string) => entities[name] ?? ''),
    );
  }
  form.append('realmId', realmId);
  form.append('decision', decision);
  const action = /<form method="post" action="([^"]*)"/.exec(html)?.[1] ?? '';
  const answer = await fetch(new URL(action, page), { method: 'POST', body: form, redirect: 'manual' });
  expect(answer.status).toBe(302);
  return answer.headers.get('location') ?? '';
}

it('takes the official client from consent to revocation', async () => {
  const client = newClient();
  const page = client.authorizeUri({
    scope: [OAuthClient.scopes.Accounting, OAuthClient.scopes.OpenId],
    state: `it's "<state>" & more`,
  });
  const callback = await pressButton(page, 'connect', mainRealmId);
  expect(new URL(callback).searchParams.get('state')).toBe(`it's "<state>" & more`);

  const created = await client.createToken(callback);
  expect(created.getIntuitTid()).toMatch(/^1-[0-9a-f]{8}-[0-9a-f]{24}$/);
  const token = client.getToken();
  expect(token.realmId).toBe(mainRealmId);
  expect(token.expires_in).toBe(3600);
  expect(token.x_refresh_token_expires_in).toBe(8_640_000);
  expect(token.x_refresh_token_hard_expires_in).toBe(157_680_000);
  expect(await client.validateIdToken()).toBe(true);
  expect((await client.getUserInfo()).getJson()).toMatchObject({ email: 'dana.broker@sandbox.example' });

  const url = `${sandbox.quickbooks.apiUrl}/v3/company/${mainRealmId}/companyinfo/${mainRealmId}`;
  const company = await client.makeApiCall({ url });
  expect(company.json).toMatchObject({ CompanyInfo: { CompanyName: 'Prairie Gateway Logistics' } });
  await expect(
    client.makeApiCall({ url: url.replace(/companyinfo.*/, 'invoice/999999') }),
  ).rejects.toMatchObject({
    code: '610',
  });

  const before = token.access_token;
  await client.refresh();
  expect(client.getToken().access_token).not.toBe(before);
  expect((await client.makeApiCall({ url })).status).toBe(200);

  const dead = client.getToken().refresh_token;
  await client.revoke();
  await expect(client.refreshUsingToken(dead)).rejects.toMatchObject({ error: 'invalid_grant' });
});

it('tells the official client of a denial', async () => {
  const page = newClient().authorizeUri({ scope: OAuthClient.scopes.Accounting, state: 'abc' });
  const callback = new URL(await pressButton(page, 'cancel', mainRealmId));
  expect(Object.fromEntries(callback.searchParams)).toEqual({ error: 'access_denied', state: 'abc' });
});
