import { slack } from '../../src/providers/slack.ts';
import { setting } from './settings.ts';
import { vendorSuite } from './suite.ts';

vendorSuite({
  provider: slack,
  settingsPrefix: 'SLACK',
  accessToken: () => Promise.resolve(setting('SLACK_VENDOR_BOT_TOKEN')),
  since: [null],
});
