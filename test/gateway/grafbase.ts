/** Grafbase's gateway, a native program: its development server, which composes the subgraphs by itself. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Gateway, GatewaySettings } from './gateways.ts';

const startWithinMs = 20_000;

/** The program that is installed, or that somebody names; undefined where the platform has none. */
export const grafbase = process.env.GRAFBASE_PROGRAM ?? installed();

/** npm installs `test/gateway/program`, which names it as optional, everywhere, and the program where it runs. */
function installed(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  const { resolve } = createRequire(import.meta.url);
  return join(dirname(resolve('@grafbase/cli-x86_64-unknown-linux-musl/package.json')), 'grafbase');
}

export async function openGrafbase({ subgraphs, routerSecret }: GatewaySettings): Promise<Gateway> {
  const home = await mkdtemp(join(tmpdir(), 'grafbase-'));
  const port = await freePort();
  const headers = [
    ...['authorization', 'x-account-id'].map((name) => `[[headers]]\nrule = "forward"\nname = "${name}"`),
    ...(routerSecret === undefined
      ? []
      : [`[[headers]]\nrule = "insert"\nname = "x-router-secret"\nvalue = "${routerSecret}"`]),
  ];
  const tables = subgraphs.map(
    ({ name, url }) =>
      `[subgraphs.${name}]\nschema_path = "${name}.graphql"\nurl = "${url}"\nwebsocket_url = "${url.replace(/^http/, 'ws')}"`,
  );
  for (const { name, sdl } of subgraphs) await writeFile(join(home, `${name}.graphql`), sdl);
  await writeFile(join(home, 'grafbase.toml'), [...tables, ...headers].join('\n\n'));

  const child = spawn(
    grafbase!,
    ['--home', home, 'dev', '--config', 'grafbase.toml', '--port', String(port)],
    {
      ...{ cwd: home, env: { HOME: home, PATH: process.env.PATH } },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const exited = once(child, 'close');
  const url = `http://127.0.0.1:${port}/graphql`;
  const close = async () => {
    child.kill('SIGKILL');
    await exited;
    await rm(home, { recursive: true, force: true });
  };
  const giveUpAt = Date.now() + startWithinMs;
  while (!(await answers(url))) {
    if (child.exitCode !== null || Date.now() > giveUpAt) {
      await close();
      throw new Error(`the gateway did not start: ${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { url, close };
}

const answers = (url: string) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"query":"{ __typename }"}',
  }).then(
    (response) => response.ok,
    () => false,
  );

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
