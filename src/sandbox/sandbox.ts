import { fastify, type FastifyInstance } from 'fastify';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../clock.ts';
import { adminRoutes } from './admin.ts';
import { installFaults } from './faults.ts';
import { myCarrierPacketsAdmin } from './myCarrierPackets/admin.ts';
import { mountMyCarrierPackets, type MyCarrierPacketsSandbox } from './myCarrierPackets/myCarrierPackets.ts';
import { escapeMarkup, page } from './pages.ts';
import { quickBooksAdmin } from './quickbooks/admin.ts';
import { mountQuickBooks, type QuickBooksSandbox } from './quickbooks/quickbooks.ts';
import { requestLog, type RequestLog } from './requestLog.ts';
import { slackAdmin } from './slack/admin.ts';
import { mountSlack, type SlackSandbox } from './slack/slack.ts';
import { openStateFile } from './stateFile.ts';

export interface SandboxOptions {
  /** 0: any free one. */
  port: number;
  /** Default 127.0.0.1. Whoever reaches the port can steer the sandbox. */
  host?: string;
  clock: Clock;
  /**
   * Keeps grants, codes and changed records over a restart; hashes of tokens, no tokens, but the secrets of webhook
   * subscriptions. Default: nothing is kept.
   */
  stateFile?: string;
  /** Told of every request once it is over, as `GET /_admin/requests` shows it, and of failures inside the sandbox. */
  log?: (line: object) => void;
}

export interface Sandbox {
  /** Without a trailing slash. */
  url: string;
  quickbooks: {
    authorizeUrl: string;
    tokenUrl: string;
    revokeUrl: string;
    apiUrl: string;
    clientId: string;
    clientSecret: string;
    /** Signs what it sends. */
    verifierToken: string;
  };
  slack: {
    authorizeUrl: string;
    tokenUrl: string;
    /** `apps.uninstall`: `auth.revoke` would end one token only. */
    revokeUrl: string;
    /** A method's name is appended to it. */
    apiUrl: string;
    clientId: string;
    clientSecret: string;
    /** Of what it sends to the app. */
    signingSecret: string;
  };
  myCarrierPackets: {
    tokenUrl: string;
    apiUrl: string;
    username: string;
    password: string;
    /** As in its webhooks. */
    customerId: number;
  };
  /** Ends open requests too. */
  close(): Promise<void>;
}

const largestBodyBytes = 4 * 1024 * 1024;

/** Emulated providers over real HTTP. Rejects when the port is taken or the state file is not one. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { clock, host = '127.0.0.1', log = () => undefined } = options;
  const app = fastify({ forceCloseConnections: true, bodyLimit: largestBodyBytes, exposeHeadRoutes: false });
  // Every handler reads its own body: each API has its own words for a bad one.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));

  const closing = new AbortController();
  let url = '';
  let requests: RequestLog | undefined;
  let quickbooks: QuickBooksSandbox | undefined;
  let slack: SlackSandbox | undefined;
  let myCarrierPackets: MyCarrierPacketsSandbox | undefined;
  const faults = installFaults(
    app,
    {
      clock,
      signal: closing.signal,
      bodyFor: (status, request) => {
        const { url: path } = request;
        const provider = path.startsWith('/slack')
          ? slack
          : path.startsWith('/mycarrierpackets')
            ? myCarrierPackets
            : quickbooks;
        return provider?.bodyFor(status, request) ?? '';
      },
    },
    () => requests!,
  );
  const logged = (requests = requestLog(app, clock, log));
  const state = openStateFile(options.stateFile);
  const baseUrl = () => `${url}/quickbooks`;

  await app.register(
    async (scope) => {
      quickbooks = mountQuickBooks(scope, {
        ...{ clock, state, requests: logged, baseUrl, log },
        signal: closing.signal,
      });
    },
    { prefix: '/quickbooks' },
  );
  const mounted = quickbooks!;
  await app.register(
    async (scope) => {
      slack = mountSlack(scope, { clock, state, requests: logged, log, signal: closing.signal });
    },
    { prefix: '/slack' },
  );
  await app.register(
    async (scope) => {
      const common = { clock, state, requests: logged, log };
      myCarrierPackets = mountMyCarrierPackets(scope, {
        ...common,
        origin: () => url,
        signal: closing.signal,
      });
    },
    { prefix: '/mycarrierpackets' },
  );
  const workspaces = slack!;
  const carriers = myCarrierPackets!;
  const others = {
    quickbooks: (scope: FastifyInstance) => quickBooksAdmin(scope, mounted),
    slack: (scope: FastifyInstance) => slackAdmin(scope, workspaces, clock),
    mycarrierpackets: (scope: FastifyInstance) => myCarrierPacketsAdmin(scope, carriers),
  };
  const steered = { requests: logged, faults, quickbooks: mounted, others };
  await app.register(async (scope) => adminRoutes(scope, steered), { prefix: '/_admin' });
  app.get('/', (_request, reply) =>
    reply
      .type('text/html; charset=utf-8')
      .send(indexPage(mounted, [workspaces.summary(), carriers.summary()])),
  );

  await app.listen({ port: options.port, host });
  url = urlOf(host, app.server.address() as AddressInfo);
  return {
    url,
    quickbooks: {
      authorizeUrl: `${baseUrl()}/connect/oauth2`,
      tokenUrl: `${baseUrl()}/oauth2/v1/tokens/bearer`,
      revokeUrl: `${baseUrl()}/v2/oauth2/tokens/revoke`,
      apiUrl: baseUrl(),
      clientId: mounted.clientId,
      clientSecret: mounted.clientSecret,
      verifierToken: mounted.verifierToken,
    },
    slack: {
      authorizeUrl: `${url}/slack/oauth/v2/authorize`,
      tokenUrl: `${url}/slack/api/oauth.v2.access`,
      revokeUrl: `${url}/slack/api/apps.uninstall`,
      apiUrl: `${url}/slack/api`,
      clientId: workspaces.clientId,
      clientSecret: workspaces.clientSecret,
      signingSecret: workspaces.signingSecret,
    },
    myCarrierPackets: {
      tokenUrl: `${url}/mycarrierpackets/token`,
      apiUrl: `${url}/mycarrierpackets`,
      username: carriers.username,
      password: carriers.password,
      customerId: carriers.customerId,
    },
    async close() {
      closing.abort();
      await app.close();
    },
  };
}

function urlOf(host: string, { port }: AddressInfo): string {
  const anywhere = host === '0.0.0.0' || host === '::';
  return `http://${anywhere ? 'localhost' : host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** `summaries`: markup of the other providers. */
function indexPage(quickbooks: QuickBooksSandbox, summaries: readonly string[]): string {
  const rows = quickbooks.companies().map(({ realmId, name }) => {
    const counts = ['Customer', 'Vendor', 'Invoice', 'Bill', 'Payment'].map((kind) => {
      const count = quickbooks.findCompany(realmId)?.list(kind).length ?? 0;
      return `${count} ${kind.toLowerCase()}s`;
    });
    return `<tr><td><b>${escapeMarkup(name)}</b><br><code>${escapeMarkup(realmId)}</code></td><td>${counts.join(', ')}</td></tr>`;
  });
  const own = ['webhook-endpoint', 'deliveries', 'delivery-rules'].map((name) => `quickbooks/${name}`);
  const links = ['requests', 'faults', 'settings', 'grants', ...own].map(
    (name) => `<li><a href="/_admin/${name}">/_admin/${name}</a></li>`,
  );
  return page(
    'Sandbox',
    `<h1>Sandbox</h1>
    <p>Emulated providers with made-up data, for development and tests. They misbehave on request.</p>
    <h2>QuickBooks Online, below <code>/quickbooks</code></h2><table>${rows.join('')}</table>
    <p><a href="/quickbooks/.well-known/openid_sandbox_configuration">Discovery document</a></p>
    ${summaries.join('')}
    <h2>Steering</h2><ul>${links.join('')}</ul>`,
  );
}
