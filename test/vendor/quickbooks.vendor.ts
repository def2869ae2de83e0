import { quickbooks } from '../../src/providers/quickbooks.ts';
import { setting } from './settings.ts';
import { vendorSuite } from './suite.ts';

const day = 86_400_000;

vendorSuite({
  provider: quickbooks,
  settingsPrefix: 'QUICKBOOKS',
  endpoints: { apiUrl: 'https://sandbox-quickbooks.api.intuit.com' },
  credentials: {
    clientId: setting('QUICKBOOKS_VENDOR_CLIENT_ID'),
    clientSecret: setting('QUICKBOOKS_VENDOR_CLIENT_SECRET'),
  },
  externalId: setting('QUICKBOOKS_VENDOR_REALM_ID'),
  async accessToken(endpoint) {
    const used = setting('QUICKBOOKS_VENDOR_REFRESH_TOKEN');
    const tokens = await endpoint.refresh('quickbooks', used, [...quickbooks.oauth.scopes]);
    // Intuit gives a new one about once a day; the old one is good for a day more.
    if (tokens.refreshToken !== undefined && tokens.refreshToken !== used)
      process.stdout.write(
        'QuickBooks has replaced QUICKBOOKS_VENDOR_REFRESH_TOKEN: get a new one by tomorrow\n',
      );
    return tokens.accessToken;
  },
  // By query, and by `cdc`.
  since: [null, day],
});
