import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { escapeMarkup } from '../pages.ts';
import type { RequestLog } from '../requestLog.ts';
import type { StateFile } from '../stateFile.ts';
import { startActivity, type Activity } from './activity.ts';
import { carrierApi } from './api.ts';
import { customerFacts } from './data.ts';
import { openDeliveries, type Deliveries } from './deliveries.ts';
import { errorOf, errors } from './errors.ts';
import { openLimits } from './limits.ts';
import type { Portal } from './portal.ts';
import { seedPortal } from './seed.ts';
import { myCarrierPacketsSettings, type MyCarrierPacketsSettings } from './settings.ts';
import { tokenEndpoint } from './tokenEndpoint.ts';
import { openTokens, sessionsState, type Session, type Tokens } from './tokens.ts';

const dayMs = 86_400_000;

export interface MyCarrierPacketsSandbox {
  /** Of the first customer's integration user. */
  readonly username: string;
  readonly password: string;
  readonly customerId: number;
  readonly portal: Portal;
  readonly tokens: Tokens;
  readonly deliveries: Deliveries;
  settings(): MyCarrierPacketsSettings;
  applySettings(settings: MyCarrierPacketsSettings): void;
  /** What the service would say with this status on this path, for injected faults. */
  bodyFor(status: number, request: FastifyRequest): string;
  /** Markup for the sandbox's page. */
  summary(): string;
}

export interface MyCarrierPacketsOptions {
  clock: Clock;
  state: StateFile;
  requests: RequestLog;
  /** Where the whole sandbox is, absolute. */
  origin: () => string;
  /** Ends what happens by itself. */
  signal: AbortSignal;
  log: (line: object) => void;
}

const keptState = z.object({
  /** The seed's dates hang on this, so that records keep their times over a restart. */
  seededAt: z.number(),
  sessions: sessionsState,
  /** What was written since the seed. The secrets of subscriptions are among it: they have to sign. */
  rows: z.record(z.string(), z.record(z.string(), z.unknown())),
});

/** The emulated MyCarrierPackets, mounted on `app` with its prefix. */
export function mountMyCarrierPackets(
  app: FastifyInstance,
  options: MyCarrierPacketsOptions,
): MyCarrierPacketsSandbox {
  const { clock, state, requests, signal, log } = options;
  let settings = myCarrierPacketsSettings.parse({});
  const currentSettings = () => settings;
  const now = () => clock.now() + settings.clockSkewMs;

  const kept = state.read('mycarrierpackets', keptState);
  const seededAt = kept?.seededAt ?? Math.floor(clock.now() / dayMs) * dayMs;
  const portal = seedPortal(seededAt, now);
  let sessions: Session[] = kept?.sessions ?? [];
  const save = () => state.write('mycarrierpackets', { seededAt, sessions, rows: portal.written() });
  portal.keep(kept?.rows ?? {}, save);
  const tokens = openTokens({
    clock,
    now,
    settings: currentSettings,
    kept: kept?.sessions,
    save: (next) => {
      sessions = next;
      save();
    },
    isEnabled: (userName) => portal.findUser(userName)?.disabled === false,
  });
  const deliveries = openDeliveries({ clock, portal, settings: currentSettings, signal, log });
  const activity: Activity = startActivity(clock, portal, currentSettings, signal);

  const token = tokenEndpoint({
    findUser: (userName) => portal.findUser(userName),
    tokens,
    settings: currentSettings,
    requests,
  });
  const carrier = carrierApi({
    portal,
    tokens,
    settings: currentSettings,
    admit: openLimits(clock, currentSettings),
    whenAnswered: (work) => activity.whenAnswered(work),
    origin: options.origin,
    log,
  });
  // One route for all: the stack takes paths in any case.
  app.all('/*', (request, reply) => {
    const path = `/${(request.params as { '*': string })['*'].replace(/\/+$/, '')}`;
    if (path.toLowerCase() === '/token') return token(request, reply);
    const name = /^\/api\/v1\/carrier\/([^/]+)$/i.exec(path)?.[1];
    if (name !== undefined) return carrier(request, reply, name);
    const { status, body } = errors.noRoute(options.origin() + request.url);
    return reply.code(status).type('application/json; charset=utf-8').send(JSON.stringify(body));
  });

  const [{ userName: username, password, customerId }] = customerFacts as [(typeof customerFacts)[0]];
  return {
    username,
    password,
    customerId,
    portal,
    tokens,
    deliveries,
    settings: currentSettings,
    applySettings(next) {
      settings = next;
      activity.restart();
    },
    bodyFor(status, request) {
      if (!/\/api\/v1\//i.test(request.url)) {
        return JSON.stringify(status < 500 ? { error: 'invalid_grant' } : errors.internal().body);
      }
      return JSON.stringify(errorOf(status).body);
    },
    summary: () => {
      const rows = portal.customers().map((customer) => {
        const count = portal.monitored.list().filter((one) => one.customerId === customer.customerId).length;
        const user = customerFacts.find((one) => one.customerId === customer.customerId)!;
        return `<tr><td><b>${escapeMarkup(customer.companyName)}</b><br><code>${customer.customerId}</code></td><td><code>${escapeMarkup(user.userName)}</code> <code>${escapeMarkup(user.password)}</code><br>${count} monitored carriers</td></tr>`;
      });
      return `<h2>MyCarrierPackets, below <code>/mycarrierpackets</code></h2><table>${rows.join('')}</table>`;
    },
  };
}
