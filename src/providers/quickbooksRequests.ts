import { timeOf } from './announcements.ts';
import { asObject } from './httpFaults.ts';
import type { ProviderRequest, RecordSnapshot, Target } from './provider.ts';

/** Queries hide the inactive members of these unless told otherwise; reads of one do not. */
export const nameLists: ReadonlySet<string> = new Set(['Customer', 'Vendor', 'Item', 'Account']);

/** Versions below 75 are no longer served (August 2025). Without `Accept` the answer would be XML. */
export function getFrom(target: Target, path: string, search: Record<string, string> = {}): ProviderRequest {
  const parameters = Object.entries({ ...search, minorversion: '75' });
  return {
    method: 'GET',
    url: `${target.apiUrl}/v3/company/${target.externalId}/${path}?${parameters
      .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
      .join('&')}`,
    headers: { accept: 'application/json' },
  };
}

export function snapshotOf(value: unknown): RecordSnapshot | undefined {
  const payload = asObject(value);
  if (typeof payload?.Id !== 'string') return undefined;
  return { externalId: payload.Id, payload, updatedAt: timeOf(asObject(payload.MetaData)?.LastUpdatedTime) };
}
