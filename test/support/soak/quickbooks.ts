import { parseQuickBooksWebhook } from '../../../src/providers/quickbooksWebhooks.ts';
import { consent, visit } from '../browser.ts';
import {
  canonical,
  differing,
  misbehaviours,
  oneOf,
  storedOf,
  type Followed,
  type Surroundings,
} from './followed.ts';

const resources = [
  ...['Customer', 'Vendor', 'Invoice', 'Bill', 'Payment', 'Item', 'Account', 'Estimate', 'PurchaseOrder'],
  'CreditMemo',
] as const;

/** A company's books: customers and vendors come and change, invoices are written, changed and deleted. */
export function followedQuickBooks(): Followed {
  let realmId = '';
  const kept: string[] = [];
  const record = (at: Surroundings, operation: string, entity: string, fields: object) =>
    at.admin('POST', 'records', { realmId, operation, entity, record: fields });
  const deliveriesOf = async (at: Surroundings) =>
    (await at.admin('GET', 'quickbooks/deliveries')).deliveries as { state: string; body: string }[];
  /** What happens within a moment is told in one request: one that gets lost must not take others with it. */
  const alone = async (at: Surroundings, rule: object, change: () => Promise<unknown>) => {
    await pause(150);
    const before = (await deliveriesOf(at)).length;
    await at.admin('POST', 'quickbooks/delivery-rules', rule);
    await change();
    while ((await deliveriesOf(at)).length === before) await pause(20);
  };
  const newVendor = (at: Surroundings) =>
    record(at, 'create', 'Vendor', { DisplayName: `Carrier ${at.count()}` });
  return {
    integrationId: 'quickbooks',
    path: '/v3/company',
    settings: ({ quickbooks }, rateLimits) => ({
      QUICKBOOKS_CLIENT_ID: quickbooks.clientId,
      QUICKBOOKS_CLIENT_SECRET: quickbooks.clientSecret,
      QUICKBOOKS_AUTHORIZE_URL: quickbooks.authorizeUrl,
      QUICKBOOKS_TOKEN_URL: quickbooks.tokenUrl,
      QUICKBOOKS_REVOKE_URL: quickbooks.revokeUrl,
      QUICKBOOKS_API_URL: quickbooks.apiUrl,
      QUICKBOOKS_WEBHOOK_SECRETS: quickbooks.verifierToken,
      ...(!rateLimits && { QUICKBOOKS_RATE_LIMIT: '1000/1' }),
    }),
    async connect(at) {
      await at.admin('PUT', 'settings', {
        ...{ webhookDelayMs: 50, webhookRetryScale: 0.01 },
        ...(at.rateLimits ? {} : { rateLimits: false }),
      });
      const { data } = await at
        .product()
        .graphql('mutation { connect(input: { integrationId: "quickbooks" }) { authorizationUrl } }');
      const location = new URL(await consent(String(data.connect.authorizationUrl), {}, /connect/i));
      await visit(`${at.product().url}${location.pathname}${location.search}`);
      await at.admin('PUT', 'quickbooks/webhook-endpoint', { url: `${at.address}/webhooks/quickbooks` });
      const { rows } = await at.db.query(
        "select external_id from connections where integration_id = 'quickbooks' and status = 'ACTIVE'",
      );
      realmId = String(rows[0].external_id);
    },
    async change(at) {
      const dice = at.random();
      if (dice < 0.4 || kept.length === 0)
        kept.push(
          (await record(at, 'create', 'Customer', { DisplayName: `Shipper ${at.count()}` })).Customer
            .Id as string,
        );
      else if (dice < 0.8)
        await record(at, 'update', 'Customer', {
          ...{ Id: oneOf(at.random, kept), DisplayName: `Shipper ${at.count()}` },
        });
      else
        // Of documents that move no balance: no word is said of the customers whose balance does.
        await at.admin('POST', 'quickbooks/activity', { realmId, entity: 'Estimate', seed: at.count() });
    },
    async loseOne(at) {
      await alone(at, { lost: true }, () => newVendor(at));
    },
    async misbehave(at) {
      const rule = oneOf(at.random, misbehaviours);
      await alone(at, rule, () => newVendor(at));
      // What is held back is let go by the next.
      if ('after' in rule) await newVendor(at);
    },
    async lost(at) {
      const last = new Map<string, string>();
      for (const { state, body } of await deliveriesOf(at))
        for (const notice of parseQuickBooksWebhook(Buffer.from(body), resources).notices)
          if (notice.kind === 'record') last.set(`${notice.resource} ${notice.externalId}`, state);
      return [...last.values()].filter((state) => state !== 'delivered').length;
    },
    async differences(at) {
      const { quickbooks } = at.sandbox;
      await at.admin('PUT', 'settings', { rateLimits: false });
      const redirect = 'http://localhost:4000/oauth/quickbooks/callback';
      const asked = {
        ...{ client_id: quickbooks.clientId, response_type: 'code', redirect_uri: redirect, state: 'soak' },
        scope: 'com.intuit.quickbooks.accounting',
      };
      const page = `${quickbooks.authorizeUrl}?${new URLSearchParams(asked).toString()}`;
      const back = new URL(await consent(page, { realmId }, /connect/i));
      const basic = Buffer.from(`${quickbooks.clientId}:${quickbooks.clientSecret}`).toString('base64');
      const exchanged = await fetch(quickbooks.tokenUrl, {
        method: 'POST',
        headers: { authorization: `Basic ${basic}`, accept: 'application/json' },
        body: new URLSearchParams({
          ...{ grant_type: 'authorization_code', redirect_uri: redirect },
          code: back.searchParams.get('code')!,
        }),
      });
      const { access_token: token } = (await exchanged.json()) as { access_token: string };
      const there = new Map<string, string>();
      for (const resource of resources)
        for (let start = 1, found = 1_000; found === 1_000; start += 1_000) {
          const active = ['Customer', 'Vendor', 'Item', 'Account'].includes(resource)
            ? ' where Active in (true, false)'
            : '';
          const query = `select * from ${resource}${active} startposition ${start} maxresults 1000`;
          const search = new URLSearchParams({ query, minorversion: '75' }).toString();
          const answer = await fetch(`${quickbooks.apiUrl}/v3/company/${realmId}/query?${search}`, {
            headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
          });
          const { QueryResponse: response } = (await answer.json()) as {
            QueryResponse: Record<string, { Id: string }[] | undefined>;
          };
          const list = response[resource] ?? [];
          for (const one of list) there.set(`${resource} ${one.Id}`, canonical(one));
          found = list.length;
        }
      return differing(there, await storedOf(at, 'quickbooks', resources));
    },
  };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
