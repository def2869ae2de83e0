import type { Connection } from '../src/connections/connection.ts';
import type { SyncEvent } from '../src/events/events.ts';
import type { SyncStatus } from '../src/sync/status.ts';
import type { WebhookDelivery } from '../src/webhooks/deliveries.ts';
import type { FetchedRecord } from './loaders.ts';

/**
 * What the resolvers of each GraphQL type are given as their parent: what the core knows about it, from which the
 * resolvers answer its fields. Types without a model here are answered as they are.
 */

export interface AccountModel {
  id: string;
}

export interface IntegrationModel {
  id: string;
}

export type ConnectionModel = Connection;
export type SyncStatusModel = SyncStatus;
export type SyncEventModel = SyncEvent;

/** A record by its three-part key; without a snapshot only the fields of the key can be asked for. */
export interface ExternalRecordModel {
  connectionId: string;
  resource: string;
  externalId: string;
  snapshot?: FetchedRecord;
}

export type WebhookDeliveryModel = WebhookDelivery;
