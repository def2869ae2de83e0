import type { BudgetView, Caller, Priority } from '../calls/caller.ts';
import type { HttpResponse } from '../calls/http.ts';
import type { Clock } from '../clock.ts';
import { within } from '../deadline.ts';
import { fail, IntegrationError, problem, type IntegrationProblem } from '../errors.ts';
import type { Log } from '../log.ts';
import type { AccessToken, Tokens } from '../oauth/tokens.ts';
import { masked } from '../providers/masking.ts';
import type { Catalog, ConfiguredProvider } from '../providers/catalog.ts';
import type { ExternalProfile, ProviderRequest, RecordSnapshot, Target } from '../providers/provider.ts';
import type { ChangePage, Position } from '../providers/changes.ts';
import { createBucketsOf, lacking, type Lacking } from './budgets.ts';
import type { Connection } from './connection.ts';
import type { Health } from './states.ts';

/**
 * A provider's API as one connection sees it: the token put on, the budget of its realm or team charged, and what
 * the answer proves about the connection written down. Throws `IntegrationError`.
 */
export interface ConnectionApi {
  /** Live. Null where the provider has no identity call. */
  profile(connection: Connection, patience: Patience): Promise<ExternalProfile | null>;
  /** Who a token that is not stored yet belongs to; null where the provider cannot tell. */
  identify(ref: Identified, accessToken: string, patience: Patience): Promise<ExternalProfile | null>;
  /** One request for at most `batchSize` distinct ids. An id without an entry does not exist at the provider. */
  records(
    connection: Connection,
    resource: string,
    ids: readonly string[],
    patience: Patience,
  ): Promise<Map<string, RecordSnapshot>>;
  /**
   * One page of a resource's changes, less what is masked. `at` falls back on the answer's `Date` (RFC 9110 §6.6.1):
   * that too is the provider's clock.
   */
  changes(
    connection: Connection,
    resource: string,
    position: Position,
    patience: Patience,
  ): Promise<ChangePage>;
  /** For each the tightest limit that applies, other processes' calls included; undefined for who cannot call. One statement at most. */
  rateLimits(connections: readonly Connection[]): Promise<(BudgetView | undefined)[]>;
  /** The first connection of which so many calls do not fit into its rate limits within `patienceMs`. One statement at most. */
  overBudget(
    wanted: readonly (readonly [Connection, calls: number])[],
    patienceMs: number,
  ): Promise<OverBudget | undefined>;
  /** RATE_LIMITED while the provider has asked us to stay away from this connection's account. */
  pauseProblem(connection: Connection, budget: BudgetView | undefined): IntegrationProblem | null;
}

export interface OverBudget extends Lacking {
  connection: Connection;
  calls: number;
}

export interface Patience {
  deadlineAtMs: number;
  signal?: AbortSignal;
  /** Default: interactive. */
  priority?: Priority;
  /** For each request that is about to be sent, those that try again and those for more pages among them. */
  onRequest?: () => void;
}

interface Identified {
  id: string;
  integrationId: string;
  externalId: string | null;
}

const bearer = { name: 'authorization', prefix: 'Bearer ' };
/** A call that has stood in line for longer than this reads its token again. */
const tokenReadForMs = 10_000;

export function createConnectionApi(deps: {
  caller: Caller;
  catalog: Catalog;
  tokens: Tokens;
  health: Health;
  clock: Clock;
  log: Log;
}): ConnectionApi {
  const { caller, catalog, tokens, health, clock, log } = deps;

  const targetOf = (configured: ConfiguredProvider, externalId: string | null): Target => ({
    apiUrl: configured.endpoints.apiUrl,
    externalId: externalId ?? '',
  });

  const bucketsOf = createBucketsOf();

  /** What a provider's file makes of an answer: where it throws, that is for whoever operates us to know. */
  const read = <T>(provider: string, parse: () => T): T => {
    try {
      return parse();
    } catch (error) {
      if (error instanceof IntegrationError) throw error;
      log.error({ err: error, integrationId: provider }, 'an answer cannot be read');
      const cause = problem('PROVIDER_ERROR', 'The answer cannot be read.', new Date(clock.now()), {
        actor: 'OPERATOR',
      });
      throw new IntegrationError(cause, { provider });
    }
  };

  const send = (
    configured: ConfiguredProvider,
    ref: Identified,
    request: ProviderRequest,
    authorization: { bearer(): string | Promise<string>; renew?(): Promise<void> },
    { onRequest, ...patience }: Patience,
  ): Promise<HttpResponse> =>
    caller.call({
      integration: configured.provider.id,
      connectionId: ref.id,
      host: new URL(configured.endpoints.apiUrl).host,
      buckets: bucketsOf(configured, ref.externalId, request),
      priority: 'interactive',
      ...patience,
      idempotent: request.isRead ?? request.method === 'GET',
      classify: configured.provider.classify,
      async request() {
        const { name, prefix } = configured.provider.tokenHeader ?? bearer;
        onRequest?.();
        return {
          ...request,
          headers: { ...request.headers, [name]: `${prefix}${await authorization.bearer()}` },
        };
      },
      ...(authorization.renew && { reauthenticate: authorization.renew }),
    });

  /** Every call of an authorized connection ends here, so that any of them can prove or disprove it. */
  const call = async (
    connection: Connection,
    request: (target: Target) => ProviderRequest,
    patience: Patience,
  ): Promise<HttpResponse> => {
    const configured = usable(connection);
    // Before it stands in line: who waits for a refresh keeps nobody else from the budget.
    let token: AccessToken;
    let readAt: number;
    const read = async () => {
      token = await tokens.accessToken(connection);
      readAt = clock.monotonic();
    };
    const authorization = {
      async bearer() {
        if (clock.monotonic() - readAt > tokenReadForMs) await read();
        return token.value;
      },
      async renew() {
        token = await tokens.replace(connection, token);
        readAt = clock.monotonic();
      },
    };
    const wanted = request(targetOf(configured, connection.externalId));
    const once = () => send(configured, connection, wanted, authorization, patience);
    try {
      await within(read(), patience.deadlineAtMs - clock.now(), clock);
      const response = await once().catch(async (error: unknown) => {
        // Refused for its token: another process may have replaced that, and the old one may be dead for it.
        const present = isGone(error) ? await tokens.present(connection) : token;
        if (present.version === token.version) throw error;
        token = present;
        return once();
      });
      await health.proved(connection);
      return response;
    } catch (error) {
      if (isGone(error)) await health.demote(connection, error.problem);
      throw error;
    }
  };

  /** One request, or as many as it takes to find all of `ids` where the provider answers in pages. */
  const pages = async (
    connection: Connection,
    resource: string,
    ids: readonly string[],
    patience: Patience,
  ): Promise<Map<string, RecordSnapshot>> => {
    const { records } = usable(connection).provider;
    const found = new Map<string, RecordSnapshot>();
    let page: string | undefined;
    for (let restarts = 0; ;) {
      try {
        const wanted = (target: Target) => records.request(target, resource, ids, page);
        const response = await call(connection, wanted, patience);
        const own = read(connection.integrationId, () => records.parse(response, resource, ids));
        for (const [id, one] of own) found.set(id, one);
        page = records.nextPage?.(response);
      } catch (error) {
        const lost =
          page !== undefined &&
          error instanceof IntegrationError &&
          error.problem.providerCode === records.lostPage;
        if (!lost || ++restarts > 1) throw error;
        page = undefined;
        continue;
      }
      if (page === undefined || found.size === ids.length) return found;
    }
  };

  const usable = (connection: Connection): ConfiguredProvider => {
    const configured = catalog.find(connection.integrationId);
    const now = new Date(clock.now());
    if (!configured)
      return fail('NOT_CONFIGURED', `The integration ${connection.integrationId} is not set up.`, now);
    if (connection.status === 'NEEDS_REAUTHORIZATION' && !lacksKey(connection))
      return fail('REAUTHORIZATION_REQUIRED', `${configured.provider.name} has to be authorized again.`, now);
    if (connection.status !== 'ACTIVE' && !lacksKey(connection))
      return fail('NOT_CONNECTED', 'The connection is not active.', now);
    return configured;
  };

  /** Where limits are for each operation, the one that proves a connection stands for all. */
  const usualBuckets = (connection: Connection) => {
    const configured = catalog.find(connection.integrationId);
    if (!configured || connection.externalId === null || connection.status !== 'ACTIVE') return [];
    const usual = configured.provider.identity?.request(targetOf(configured, connection.externalId));
    return bucketsOf(configured, connection.externalId, usual ?? {});
  };

  return {
    async profile(connection, patience) {
      const configured = usable(connection);
      const { identity } = configured.provider;
      if (!identity) return null;
      const response = await call(connection, identity.request, patience);
      const target = targetOf(configured, connection.externalId);
      return read(connection.integrationId, () => identity.parse(response, target));
    },

    async identify(ref, accessToken, patience) {
      const configured = catalog.find(ref.integrationId)!;
      const { identity } = configured.provider;
      if (!identity) return null;
      const target = targetOf(configured, ref.externalId);
      const authorization = { bearer: () => accessToken };
      const response = await send(configured, ref, identity.request(target), authorization, patience);
      return read(ref.integrationId, () => identity.parse(response, target));
    },

    async records(connection, resource, ids, patience) {
      const { provider } = usable(connection);
      try {
        const found = await pages(connection, resource, ids, patience);
        const hidden = provider.masked?.[resource];
        if (!hidden) return found;
        return new Map([...found].map(([id, one]) => [id, { ...one, payload: masked(one.payload, hidden) }]));
      } catch (error) {
        if (error instanceof IntegrationError && error.problem.code === 'NOT_FOUND') return new Map();
        throw error;
      }
    },

    async changes(connection, resource, position, patience) {
      const { provider } = usable(connection);
      const reads = provider.changes(resource);
      const response = await call(connection, (target) => reads.request(target, position), patience);
      const page = read(connection.integrationId, () => reads.parse(response, position));
      const hidden = provider.masked?.[resource];
      return {
        ...page,
        at: page.at ?? dateOf(response),
        changes: page.changes.map((change) =>
          hidden && change.kind === 'UPSERTED' && change.snapshot
            ? {
                ...change,
                snapshot: { ...change.snapshot, payload: masked(change.snapshot.payload, hidden) },
              }
            : change,
        ),
      };
    },

    async rateLimits(connections) {
      const buckets = connections.map(usualBuckets);
      await caller.refreshBudgets(buckets.flat());
      return buckets.map((own) => caller.budget(own));
    },

    async overBudget(wanted, patienceMs) {
      const buckets = wanted.map(([connection]) => usualBuckets(connection));
      await caller.refreshBudgets(buckets.flat());
      for (const [i, [connection, calls]] of wanted.entries()) {
        const views = buckets[i]!.flatMap((bucket) => caller.budget([bucket]) ?? []);
        const over = lacking(views, calls, patienceMs);
        if (over) return { connection, calls, ...over };
      }
      return undefined;
    },

    pauseProblem(connection, budget) {
      const now = clock.now();
      if (budget?.pausedUntilMs === undefined || budget.pausedUntilMs <= now) return null;
      const name = catalog.find(connection.integrationId)?.provider.name ?? connection.integrationId;
      return problem('RATE_LIMITED', `${name} asked us to wait.`, new Date(now), {
        retryAfterSeconds: Math.ceil((budget.pausedUntilMs - now) / 1_000),
      });
    },
  };
}

function dateOf({ headers }: HttpResponse): Date | null {
  const time = Date.parse(headers.date ?? '');
  return Number.isNaN(time) ? null : new Date(time);
}

const isGone = (error: unknown): error is IntegrationError =>
  error instanceof IntegrationError && error.code === 'REAUTHORIZATION_REQUIRED';

/** Demoted only because the operator's key was missing: asked again, it may be back. */
function lacksKey({ status, problem }: Connection): boolean {
  return (
    status === 'NEEDS_REAUTHORIZATION' &&
    problem?.code === 'REAUTHORIZATION_REQUIRED' &&
    problem.actor === 'OPERATOR'
  );
}
