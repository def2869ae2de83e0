/** What each suite needs of the environment: credentials of a test account at the vendor. */
export const needed = {
  quickbooks: [
    'QUICKBOOKS_VENDOR_CLIENT_ID',
    'QUICKBOOKS_VENDOR_CLIENT_SECRET',
    'QUICKBOOKS_VENDOR_REFRESH_TOKEN',
    'QUICKBOOKS_VENDOR_REALM_ID',
  ],
  slack: ['SLACK_VENDOR_BOT_TOKEN'],
  myCarrierPackets: ['MYCARRIERPACKETS_VENDOR_USERNAME', 'MYCARRIERPACKETS_VENDOR_PASSWORD'],
} as const;

export type Vendor = keyof typeof needed;

/** An empty value counts as unset. */
export const missingFor = (vendor: Vendor): string[] => needed[vendor].filter((name) => !process.env[name]);

export function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}
