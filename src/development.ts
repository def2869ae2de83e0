import { join } from 'node:path';
import { systemClock } from './clock.ts';
import type { Config } from './config.ts';
import type { Log } from './log.ts';
import type { Sandbox } from './sandbox/sandbox.ts';

/** What GraphiQL opens with. */
export const firstQuery = `mutation Connect {
  connect(input: { integrationId: "quickbooks" }) {
    authorizationUrl
    problem { code message }
  }
}

query Connections {
  connections {
    id
    status
    problem { code message actor }
    profile { name }
  }
}
`;

/** The emulated providers, which in production are not even loaded. `unlessInUse` says what of their port is wrong. */
export async function openSandbox(
  config: Config,
  unlessInUse: (error: NodeJS.ErrnoException) => never,
): Promise<Sandbox> {
  const { startSandbox } = await import('./sandbox/sandbox.ts');
  const stateFile = join(config.dataDir, 'sandbox.json');
  return startSandbox({ port: config.sandbox.port, clock: systemClock, stateFile }).catch(unlessInUse);
}

/** What the emulated providers' consoles would be told by hand. MyCarrierPackets has an address for each connection. */
export async function tellWhereWebhooksGo(sandbox: Sandbox, port: number, log: Log): Promise<void> {
  const here = `http://127.0.0.1:${port}/webhooks`;
  for (const [setting, url] of [
    ['quickbooks/webhook-endpoint', `${here}/quickbooks`],
    ['slack/request-url', `${here}/slack`],
  ]) {
    const answer = await fetch(`${sandbox.url}/_admin/${setting}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ url }),
    });
    if (!answer.ok) log.warn({ setting, status: answer.status }, 'the sandbox sends no webhooks');
  }
}

/** What whoever has just started it can do next, and what is not as it should be in production. */
export function announce(config: Config, publicUrl: string, sandbox: Sandbox | undefined, log: Log): void {
  if (config.identity.kind === 'development')
    log.warn(
      'x-account-id is believed without proof, from this machine only: set AUTH_JWKS_URL or AUTH_JWT_SECRET',
    );
  if (config.identity.kind === 'secret' && config.identity.secret.length < 32)
    log.warn('AUTH_JWT_SECRET is shorter than the 32 bytes that HS256 asks for (RFC 7518)');
  if (config.production) return;
  process.stdout.write(`
  GraphQL   ${publicUrl}/graphql
  Console   ${publicUrl}/graphql (open it in a browser: GraphiQL, with a first query)
  Sandbox   ${sandbox?.url ?? 'off'}

  A first query to paste:

    curl -s ${publicUrl}/graphql -H 'content-type: application/json' -H '${config.identity.kind === 'development' ? 'x-account-id: demo' : 'authorization: Bearer <token>'}' \\
      -d '{"query":"mutation { connect(input: { integrationId: \\"quickbooks\\" }) { authorizationUrl problem { code message } } }"}'

  Open the authorizationUrl in a browser, choose a company, and then ask:

    { connections { id status externalId profile { name } } }

`);
}
