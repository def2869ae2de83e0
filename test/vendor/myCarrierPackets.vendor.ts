import { myCarrierPackets } from '../../src/providers/myCarrierPackets.ts';
import { setting } from './settings.ts';
import { vendorSuite } from './suite.ts';

vendorSuite({
  provider: myCarrierPackets,
  settingsPrefix: 'MYCARRIERPACKETS',
  async accessToken(endpoint) {
    const username = setting('MYCARRIERPACKETS_VENDOR_USERNAME');
    const password = setting('MYCARRIERPACKETS_VENDOR_PASSWORD');
    return (await endpoint.password('mycarrierpackets', { username, password })).accessToken;
  },
  // The test carrier of the vendor's own samples.
  known: { resource: 'Carrier', externalId: '9999997' },
  since: [null],
});
