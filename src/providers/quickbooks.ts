import { asObject, jsonIn } from './httpFaults.ts';
import { quickbooksChanges } from './quickbooksChanges.ts';
import { parseQuickBooksWebhook } from './quickbooksWebhooks.ts';
import type { Provider } from './provider.ts';
import { intuitScheme } from './signatures.ts';
import { classifyQuickBooks } from './quickbooksFaults.ts';
import { getFrom, nameLists, snapshotOf } from './quickbooksRequests.ts';

/** QuickBooks Online. Facts from developer.intuit.com as of November 2026; the quirks are commented where they bite. */
export const quickbooks: Provider = {
  id: 'quickbooks',
  name: 'QuickBooks Online',
  auth: 'OAUTH2',
  endpoints: {
    authorizeUrl: 'https://appcenter.intuit.com/connect/oauth2',
    tokenUrl: 'https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer',
    revokeUrl: 'https://developer.api.intuit.com/v2/oauth2/tokens/revoke',
    apiUrl: 'https://quickbooks.api.intuit.com',
  },
  oauth: {
    grant: 'authorization_code',
    scopes: ['com.intuit.quickbooks.accounting'],
    scopeSeparator: ' ',
    pkce: 'S256',
    clientAuthentication: 'basic',
    authorizeParams: {},
    // Asks for the end that refreshing does not move: five years from consent.
    tokenHeaders: { 'x-include-refresh-token-hard-expires-in': 'true' },
    // The company is named here and nowhere else.
    externalIdParam: { name: 'realmId', pattern: /^\d{1,20}$/ },
    refreshExpiresInField: 'x_refresh_token_expires_in',
    hardExpiresInField: 'x_refresh_token_hard_expires_in',
    requestIdHeaders: ['intuit_tid'],
    reauthorizationErrors: ['invalid_grant'],
    // Intuit's SDK: a replaced refresh token is good for 24 h more. A help when an answer is lost, no licence to race.
    replay: 'grace',
    revocation: 'json',
    // "Disconnects the app from that company."
    revokes: 'externalAccount',
  },
  resources: [
    'Customer',
    'Vendor',
    'Invoice',
    'Bill',
    'Payment',
    'Item',
    'Account',
    'Estimate',
    'PurchaseOrder',
    'CreditMemo',
  ],
  // For each app and company ("realm"). Older texts say 10 at one time where newer ones say 10 in a second: both hold.
  limits: [
    { name: 'second', limit: 10, windowMs: 1_000 },
    { name: 'minute', limit: 500, windowMs: 60_000 },
    { name: 'concurrent', limit: 10, windowMs: 0 },
    { name: 'batch', limit: 40, windowMs: 60_000, operations: ['batch'] },
  ],
  classify: classifyQuickBooks,
  identity: {
    request: (target) => getFrom(target, `companyinfo/${target.externalId}`),
    parse(response, target) {
      // `Id` is 1 in every company: the realm is what identifies one.
      const company = asObject(asObject(jsonIn(response.body))?.CompanyInfo);
      const name = company?.CompanyName;
      return { id: target.externalId, name: typeof name === 'string' ? name : null, url: null };
    },
  },
  records: {
    // A query may name more, but 30 is what one batch takes and what the limits page recommends. A query's page is 100.
    batchSize: 30,
    idPattern: /^\d{1,20}$/,
    request(target, resource, ids) {
      if (ids.length === 1) return getFrom(target, `${resource.toLowerCase()}/${ids[0]}`);
      const list = ids.map((id) => `'${id}'`).join(',');
      const query = `select * from ${resource} where Id in (${list})`;
      return getFrom(target, 'query', {
        query: nameLists.has(resource) ? `${query} and Active in (true, false)` : query,
      });
    },
    parse(response, resource) {
      const body = asObject(jsonIn(response.body));
      // A query answers a list, or nothing at all for no rows; a read answers the object itself.
      const found = asObject(body?.QueryResponse)?.[resource] ?? body?.[resource] ?? [];
      const snapshots = (Array.isArray(found) ? found : [found])
        .map(snapshotOf)
        .filter((one) => one !== undefined);
      return new Map(snapshots.map((one) => [one.externalId, one]));
    },
  },
  changes: quickbooksChanges,
  webhook: { scheme: intuitScheme, secretOf: 'application', parse: parseQuickBooksWebhook },
};
