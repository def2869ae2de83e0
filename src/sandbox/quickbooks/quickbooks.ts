import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import type { RequestLog } from '../requestLog.ts';
import type { StateFile } from '../stateFile.ts';
import { randomOf, somethingHappens, startActivity, type Happened, type Wanted } from './activity.ts';
import { apiRoutes } from './api.ts';
import type { Company, Stored } from './company.ts';
import { consentRoutes } from './consent.ts';
import { faultEnvelope, faults } from './errors.ts';
import { textOf } from './fields.ts';
import { Grants, grantsState, type GrantsState } from './grants.ts';
import { Limits } from './limits.ts';
import { oauthRoutes } from './oauth.ts';
import { openIdRoutes } from './openid.ts';
import { seedCompanies } from './seed.ts';
import { quickBooksSettings, type QuickBooksSettings } from './settings.ts';
import { openWebhooks, webhookEndpoint, type Webhooks } from './webhooks.ts';

/** Everybody may know these: they open nothing but made-up books. */
const clientId = 'ABsandboxQuickBooksClientId';
const clientSecret = 'sandbox-client-secret';
const verifierToken = 'sandbox-verifier-token';
const dayMs = 86_400_000;

export interface QuickBooksSandbox {
  readonly clientId: string;
  readonly clientSecret: string;
  /** Signs what it sends: the usual one, or the one that was set before the last restart. */
  readonly verifierToken: string;
  readonly grants: Grants;
  readonly webhooks: Webhooks;
  /**
   * So many random changes, in one company or in any that is connected: none when none is. Throws a `QuickBooksFault`
   * for what cannot be done, after those that could.
   */
  happen(options: { realmId?: string; count: number; seed?: number } & Wanted): Happened[];
  companies(): { realmId: string; name: string }[];
  findCompany(realmId: string): Company | undefined;
  settings(): QuickBooksSettings;
  applySettings(settings: QuickBooksSettings): void;
  /** What QuickBooks would say with this status on this path, for injected faults. */
  bodyFor(status: number, request: FastifyRequest): string;
}

export interface QuickBooksOptions {
  clock: Clock;
  state: StateFile;
  requests: RequestLog;
  /** Where this is mounted, absolute. */
  baseUrl: () => string;
  signal: AbortSignal;
  log: (line: object) => void;
}

const keptState = z.object({
  /** The seed's dates hang on this, so that records keep their times over a restart. */
  seededAt: z.number(),
  grants: grantsState,
  webhooks: webhookEndpoint.optional(),
  /** By realm id: the records written since the seed. */
  changes: z.record(
    z.string(),
    z.array(
      z.object({ kind: z.string(), record: z.looseObject({}), updatedAt: z.number(), deleted: z.boolean() }),
    ),
  ),
});

/** The emulated QuickBooks Online, mounted on `app`, whose prefix it does not know. */
export function mountQuickBooks(app: FastifyInstance, options: QuickBooksOptions): QuickBooksSandbox {
  const { clock, state, requests } = options;
  let settings = quickBooksSettings.parse({});
  const currentSettings = () => settings;
  const now = () => clock.now() + settings.clockSkewMs;

  const kept = state.read('quickbooks', keptState);
  const seededAt = kept?.seededAt ?? Math.floor(clock.now() / dayMs) * dayMs;
  const companies = seedCompanies(seededAt, now);
  const changes = new Map<string, Map<string, Stored>>();
  let endpoint = kept?.webhooks ?? { url: null, verifierToken };
  let grantsKept: GrantsState = kept?.grants ?? { grants: [], codes: [] };
  let isSaveHeld = false;
  const save = () => {
    if (isSaveHeld) return;
    state.write('quickbooks', {
      seededAt,
      grants: grantsKept,
      webhooks: endpoint,
      changes: Object.fromEntries([...changes].map(([realmId, records]) => [realmId, [...records.values()]])),
    });
  };
  /** Saves once for all that `work` writes, and when it throws: each save takes as long as everything kept is long. */
  const savedOnce = <T>(work: () => T): T => {
    isSaveHeld = true;
    try {
      return work();
    } finally {
      isSaveHeld = false;
      save();
    }
  };
  for (const company of companies) {
    const records = new Map<string, Stored>();
    changes.set(company.realmId, records);
    // The schema has checked what holds a record together; its fields are whatever was written.
    const stored = (kept?.changes[company.realmId] ?? []) as unknown as Stored[];
    company.restore(stored);
    for (const one of stored) records.set(`${one.kind}/${one.record.Id}`, one);
    company.watch((change) => {
      const { kind, record } = change.stored;
      records.set(`${kind}/${record.Id}`, change.stored);
      save();
      webhooks.tell(company.realmId, change);
    });
  }
  const grants = new Grants(clock, currentSettings, kept?.grants, (next) => {
    grantsKept = next;
    save();
  });
  const isConnected = (realmId: string) =>
    grants.list().some((grant) => grant.realmId === realmId && grant.endedBy === null);
  const webhooks = openWebhooks({
    clock,
    settings: currentSettings,
    endpoint,
    isConnected,
    save(next) {
      endpoint = next;
      save();
    },
    signal: options.signal,
    log: options.log,
  });
  const happenWith = (random: () => number, realmId: string | undefined, wanted: Wanted): Happened[] => {
    const among = companies.filter((one) =>
      realmId === undefined ? isConnected(one.realmId) : one.realmId === realmId,
    );
    const company = among[Math.floor(random() * among.length)];
    return company ? [somethingHappens(company, random, wanted)] : [];
  };
  const restartActivity = startActivity({
    clock,
    settings: currentSettings,
    happen: (random) => void happenWith(random, undefined, {}),
    signal: options.signal,
    log: options.log,
  });
  const findCompany = (realmId: string) => companies.find((one) => one.realmId === realmId);
  const listCompanies = () =>
    companies.map((one) => ({
      realmId: one.realmId,
      name: textOf(one.find('CompanyInfo', '1')?.['CompanyName']),
    }));

  app.addHook('onRequest', async (_request, reply) => {
    const tid = clock.randomBytes(16).toString('hex');
    void reply.header('intuit_tid', `1-${tid.slice(0, 8)}-${tid.slice(8)}`);
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'not_found' }));
  consentRoutes(app, { clientId, grants, companies: listCompanies });
  const idTokens = openIdRoutes(app, clock, grants, options.baseUrl);
  oauthRoutes(app, { clientId, clientSecret, grants, settings: currentSettings, idTokens, requests });
  void app.register(
    async (api) =>
      apiRoutes(api, {
        grants,
        limits: new Limits(clock, currentSettings),
        settings: currentSettings,
        now,
        findCompany,
        log: options.log,
      }),
    { prefix: '/v3/company/:realmId' },
  );

  return {
    clientId,
    clientSecret,
    verifierToken: endpoint.verifierToken,
    grants,
    webhooks,
    happen({ realmId, count, seed, ...wanted }) {
      const random = seed === undefined ? clock.random : randomOf(seed);
      return savedOnce(() => Array.from({ length: count }, () => happenWith(random, realmId, wanted)).flat());
    },
    companies: listCompanies,
    findCompany,
    settings: currentSettings,
    applySettings(next) {
      settings = next;
      restartActivity();
    },
    bodyFor(status, request) {
      if (!request.url.includes('/v3/company/')) {
        const error = status === 401 ? 'invalid_client' : status < 500 ? 'invalid_grant' : 'server_error';
        return JSON.stringify({ error });
      }
      const fault =
        status === 401
          ? faults.tokenMalformed()
          : status === 403
            ? faults.wrongCompany()
            : status === 429
              ? faults.throttled(429)
              : status === 400
                ? faults.business('Unexpected Internal Error. (-30000)')
                : faults.system(status);
      return JSON.stringify(faultEnvelope(fault, now(), settings.authenticationFault));
    },
  };
}
