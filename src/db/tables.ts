import type { ColumnType, Generated, JSONColumnType } from 'kysely';
import type { IntegrationProblem } from '../errors.ts';

/** The rows of `migrations/`, as Kysely reads and writes them. What a column means stands in the migration. */
export interface Tables {
  connections: ConnectionsTable;
  account_keys: AccountKeysTable;
  oauth_authorizations: OAuthAuthorizationsTable;
  oauth_tokens: OAuthTokensTable;
  token_revocations: TokenRevocationsTable;
  webhook_secrets: WebhookSecretsTable;
  sync_statuses: SyncStatusesTable;
  external_records: ExternalRecordsTable;
  event_sequences: EventSequencesTable;
  sync_events: SyncEventsTable;
  webhook_deliveries: WebhookDeliveriesTable;
  delivery_queues: DeliveryQueuesTable;
  sync_rounds: SyncRoundsTable;
}

export type ConnectionStatus = 'PENDING' | 'ACTIVE' | 'NEEDS_REAUTHORIZATION' | 'DISCONNECTED';
export type SyncState = 'IDLE' | 'RUNNING' | 'BACKFILLING' | 'RATE_LIMITED' | 'FAILING' | 'PAUSED';

export type WebhookDeliveryStatus = 'RECEIVED' | 'PROCESSED' | 'FAILED' | 'DEAD';

/** What a provider told one connection. Times are ISO 8601. */
export type StoredNotice = { occurredAt: string | null } & (
  | { kind: 'record'; resource: string; externalId: string; change: 'UPSERTED' | 'DELETED' }
  | { kind: 'revoked'; users: readonly string[] | null }
  | { kind: 'missed' }
);

/** `occurredAt` is a string in the column: JSON has no dates. */
export type StoredProblem = Omit<IntegrationProblem, 'occurredAt'> & { occurredAt: string };
type ProblemColumn = JSONColumnType<StoredProblem | null, string | null, string | null>;
type GeneratedTime = ColumnType<Date, Date | undefined, Date>;
/** `database.ts` reads `bigint` as a number on both backends. */
type BigIntColumn = ColumnType<number, number | bigint, number | bigint>;

export interface StoredProfile {
  id: string;
  name: string | null;
  url: string | null;
}

interface ConnectionsTable {
  account_id: string;
  id: string;
  integration_id: string;
  status: ConnectionStatus;
  external_id: string | null;
  scopes: Generated<string[]>;
  problem: ProblemColumn;
  generation: Generated<number>;
  created_by: string | null;
  authorize_by: Date | null;
  created_at: GeneratedTime;
  connected_at: Date | null;
  disconnected_at: Date | null;
  checked_at: Date | null;
  profile: JSONColumnType<StoredProfile | null, string | null | undefined, string | null>;
  profile_at: Date | null;
  profile_external_id: string | null;
  probe_at: Date | null;
  records_erased_at: Date | null;
}

interface AccountKeysTable {
  account_id: string;
  id: string;
  master_key_id: string;
  sealed_key: Buffer;
  created_at: GeneratedTime;
}

interface OAuthAuthorizationsTable {
  state_hash: Buffer;
  account_id: string;
  user_id: string | null;
  integration_id: string;
  connection_id: string;
  redirect_uri: string;
  return_to: string | null;
  code_verifier_encrypted: Buffer | null;
  scopes: string[];
  created_at: GeneratedTime;
  expires_at: Date;
  consumed_at: Date | null;
  completion_hash: Buffer | null;
  complete_by: Date | null;
  grant_encrypted: Buffer | null;
}

interface OAuthTokensTable {
  account_id: string;
  provider: string;
  connection_id: string;
  access_token_encrypted: Buffer;
  refresh_token_encrypted: Buffer | null;
  issued_at: Date;
  expires_at: Date | null;
  refresh_due_at: Date | null;
  refresh_token_expires_at: Date | null;
  scopes: string[];
  external_id: string | null;
  external_user_id: string | null;
  generation: Generated<number>;
  credentials_encrypted: Buffer | null;
  hard_expires_at: Date | null;
  lease_owner: string | null;
  lease_until: Date | null;
  attempt_at: Date | null;
  attempt_outcome: 'UNCERTAIN' | null;
  refresh_failures: Generated<number>;
  refresh_retry_at: Date | null;
  refresh_problem: ProblemColumn;
  version: Generated<number>;
  created_at: GeneratedTime;
  updated_at: GeneratedTime;
}

interface TokenRevocationsTable {
  account_id: string;
  id: string;
  integration_id: string;
  connection_id: string;
  token_encrypted: Buffer;
  external_id: string | null;
  sending_until: Date | null;
  held_until: Date | null;
  created_at: GeneratedTime;
}

interface WebhookSecretsTable {
  account_id: string;
  connection_id: string;
  id: string;
  secret_encrypted: Buffer;
  accepted_until: Date | null;
  created_at: GeneratedTime;
}

interface SyncStatusesTable {
  account_id: string;
  connection_id: string;
  resource: string;
  state: Generated<SyncState>;
  delivery: Generated<'WEBHOOK' | 'POLL'>;
  last_synced_at: Date | null;
  last_webhook_at: Date | null;
  last_polled_at: Date | null;
  missed_by_webhook: Generated<number>;
  record_count: Generated<number>;
  lag_seconds: number | null;
  consecutive_failures: Generated<number>;
  progress_done: number | null;
  progress_total: number | null;
  distrust: Generated<number>;
  problem: ProblemColumn;
}

interface SyncRoundsTable {
  account_id: string;
  connection_id: string;
  resource: string;
  next_poll_at: Date | null;
  lease_owner: string | null;
  lease_until: Date | null;
  cursor: Date | null;
  round: JSONColumnType<Record<string, unknown> | null, string | null, string | null>;
  requested: 'FULL' | 'CHANGES' | null;
  quiet_polls: Generated<number>;
}

interface ExternalRecordsTable {
  account_id: string;
  connection_id: string;
  resource: string;
  external_id: string;
  payload: JSONColumnType<Record<string, unknown> | null, string | null, string | null>;
  updated_at: Date | null;
  fetched_at: Date;
  deleted: Generated<boolean>;
  account_external_id: string | null;
  event_id: string | null;
  deleted_at: Date | null;
  was_deleted: Generated<boolean>;
  unannounced_at: Date | null;
}

interface EventSequencesTable {
  account_id: string;
  last_sequence: BigIntColumn;
}

interface SyncEventsTable {
  account_id: string;
  sequence: BigIntColumn;
  id: string;
  kind: string;
  source: string;
  connection_id: string;
  integration_id: string;
  generation: number;
  resource: string | null;
  external_id: string | null;
  problem: ProblemColumn;
  change: string | null;
  user_id: string | null;
  occurred_at: Date;
}

interface WebhookDeliveriesTable {
  id: string;
  account_id: string | null;
  integration_id: string;
  connection_id: string | null;
  account_external_id: string | null;
  generation: Generated<number>;
  event_id: string;
  status: Generated<WebhookDeliveryStatus>;
  received_at: GeneratedTime;
  arrival: Generated<number>;
  attempts: Generated<number>;
  next_attempt_at: Date | null;
  processed_at: Date | null;
  problem: ProblemColumn;
  notice: JSONColumnType<StoredNotice, string, string>;
}

interface DeliveryQueuesTable {
  account_id: string;
  connection_id: string;
  due_at: Date;
  version: Generated<number>;
  lease_owner: string | null;
  lease_until: Date | null;
}
