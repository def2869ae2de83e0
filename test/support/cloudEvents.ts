export interface CloudEvent {
  id: string;
  realm: string;
  entity: string;
  externalId: string;
  operation?: string;
  time?: string;
}

/** Intuit's body since 2026: an array of CloudEvents. */
export const cloudEvents = (events: readonly CloudEvent[]) =>
  events.map(({ id, realm, entity, externalId, operation = 'updated', time = '2026-01-05T12:00:00Z' }) => ({
    specversion: '1.0',
    id,
    source: 'intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=',
    type: `qbo.${entity}.${operation}.v1`,
    datacontenttype: 'application/json',
    time,
    intuitentityid: externalId,
    intuitaccountid: realm,
    data: {},
  }));
