import { promisify } from 'node:util';
import OAuthClient from 'intuit-oauth';
import QuickBooks from 'node-quickbooks';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.ts';
import { consent } from '../../support/browser.ts';
import { mainRealmId, redirectUri } from '../../support/sandbox.ts';

/** The vendor's own client, and the one that most people use, unmodified. */
describe('the emulated QuickBooks', () => {
  let sandbox: Sandbox;
  beforeEach(async () => {
    sandbox = await startSandbox({ port: 0, clock: systemClock });
  });
  afterEach(() => sandbox.close());

  const client = () => {
    const { clientId, clientSecret, authorizeUrl, tokenUrl, revokeUrl } = sandbox.quickbooks;
    const own = new OAuthClient({ clientId, clientSecret, environment: 'sandbox', redirectUri });
    own.setAuthorizeURLs({
      authorizeEndpoint: authorizeUrl,
      tokenEndpoint: tokenUrl,
      revokeEndpoint: revokeUrl,
      userInfoEndpoint: `${sandbox.url}/quickbooks/v1/openid_connect/userinfo`,
    });
    return own;
  };
  const connected = async () => {
    const own = client();
    const scopes = ['com.intuit.quickbooks.accounting', 'openid', 'profile', 'email'];
    await own.createToken(await consent(own.authorizeUri({ scope: scopes, state: 'a-state' })));
    return own;
  };

  it('serves intuit-oauth: exchange, refresh, user, a call, revocation', async () => {
    const own = await connected();
    const { access_token: first, realmId } = own.getToken();
    expect(realmId).toBe(mainRealmId);
    expect(first).toMatch(/\w{20}/);
    expect((await own.getUserInfo()).json).toMatchObject({ email: expect.stringContaining('@') });

    const refreshed = (await own.refresh()).json as { access_token: string; token_type: string };
    expect(refreshed.token_type).toBe('bearer');
    expect(refreshed.access_token).not.toBe(first);

    const url = `${sandbox.quickbooks.apiUrl}/v3/company/${mainRealmId}/companyinfo/${mainRealmId}`;
    const call = async () =>
      (await own.makeApiCall({ url })).json as { CompanyInfo: { CompanyName: string } };
    expect((await call()).CompanyInfo.CompanyName).toMatch(/\w/);

    expect((await own.revoke()).status()).toBe(200);
    await expect(call()).rejects.toThrow('HTTP Error');
  });

  it('serves node-quickbooks: reads, writes, queries, a batch and changes', async () => {
    const { access_token: token } = (await connected()).getToken();
    const { clientId, clientSecret } = sandbox.quickbooks;
    const own = new QuickBooks(
      clientId,
      clientSecret,
      token,
      false,
      mainRealmId,
      true,
      false,
      75,
      '2.0',
      'x',
    );
    own.endpoint = `${sandbox.quickbooks.apiUrl}/v3/company/`;
    const of = <A extends unknown[], T>(
      method: (...args: [...A, (error: unknown, result: T) => void]) => void,
    ) => promisify(method.bind(own) as never) as unknown as (...args: A) => Promise<Record<string, any>>; // oxlint-disable-line typescript/no-explicit-any -- the package has no types

    const started = new Date(Date.now() - 2_000).toISOString();
    const fields = { DisplayName: 'Made by node-quickbooks', requestId: 'one-request' };
    const created = await of(own.createCustomer)({ ...fields });
    const repeated = await of(own.createCustomer)({ ...fields });
    expect(repeated.Id).toBe(created.Id);
    expect(await of(own.getCustomer)(created.Id)).toMatchObject({ DisplayName: fields.DisplayName });

    const change = { Id: created.Id, sparse: true, Notes: 'changed' };
    await of(own.updateCustomer)({ ...change, SyncToken: created.SyncToken });
    await expect(of(own.updateCustomer)({ ...change, SyncToken: created.SyncToken })).rejects.toMatchObject({
      response: { data: { Fault: { Error: [{ code: '5010' }] } } },
    });

    const found = await of(own.findCustomers)({ DisplayName: fields.DisplayName });
    expect(found.QueryResponse.Customer).toMatchObject([{ Id: created.Id, Notes: 'changed' }]);
    const batch = await of(own.batch)([
      { bId: 'a', Query: 'select count(*) from Customer' },
      { bId: 'b', operation: 'create', Customer: { DisplayName: 'In a batch' } },
    ]);
    expect(batch.BatchItemResponse).toMatchObject([
      { bId: 'a', QueryResponse: { totalCount: expect.any(Number) } },
      { bId: 'b', Customer: { DisplayName: 'In a batch' } },
    ]);
    const changes = await of(own.changeDataCapture)(['Customer', 'Estimate'], started);
    const [customers] = changes.CDCResponse[0].QueryResponse;
    expect(customers.Customer.map((one: { Id: string }) => one.Id)).toContain(created.Id);
  });
});
