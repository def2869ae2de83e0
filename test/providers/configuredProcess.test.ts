/** The program with a file, as its operator starts it: the worked example of docs/describing-an-integration.md. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { visit } from '../support/browser.ts';
import { oidcServer, signIn, type OidcServer } from '../support/oidcProvider.ts';
import { runMain, startProduct } from '../support/product.ts';

const page = await readFile(new URL('../../docs/describing-an-integration.md', import.meta.url), 'utf8');
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, text]) => text!);

let server: OidcServer;
let directory: string;
let path: string;
beforeAll(async () => {
  server = await oidcServer('http://localhost:4000/oauth/acme-crm/callback');
  directory = await mkdtemp(join(tmpdir(), 'integrations-file-'));
  path = join(directory, 'acme.yaml');
  await writeFile(path, blocks('yaml')[0]!);
});
afterAll(async () => {
  await rm(directory, { recursive: true });
  await server.close();
});

describe('the program with INTEGRATIONS_FILE', () => {
  it('connects and reads what the page describes, aimed at an emulator by settings', async () => {
    const product = await startProduct({
      INTEGRATIONS_FILE: path,
      PUBLIC_URL: 'http://localhost:4000',
      ACME_CRM_CLIENT_ID: server.clientId,
      ACME_CRM_CLIENT_SECRET: server.clientSecret,
      ACME_CRM_AUTHORIZE_URL: `${server.url}/authorize`,
      ACME_CRM_TOKEN_URL: `${server.url}/token`,
      ACME_CRM_REVOKE_URL: `${server.url}/revoke`,
      ACME_CRM_API_URL: `${server.url}/v1`,
    });
    try {
      const [connect, query] = blocks('graphql');
      const begun = await product.graphql(connect!);
      expect(begun.data.connect.problem).toBeNull();
      const back = new URL(await signIn(begun.data.connect.authorizationUrl, 'alice'));
      expect(back.pathname).toBe('/oauth/acme-crm/callback');
      expect((await visit(`${product.url}${back.pathname}${back.search}`)).status).toBe(200);
      const { data, errors } = await product.graphql(query!);
      expect(errors).toBeUndefined();
      expect(data.integration).toEqual({
        name: 'Acme CRM',
        health: 'HEALTHY',
        connection: {
          status: 'ACTIVE',
          profile: { id: 'alice', name: 'Name of alice' },
          record: {
            payload: { id: '7', name: 'Customer 7', changed_at: '2026-11-01T10:00:00Z', ssn: '***' },
            updatedAt: '2026-11-01T10:00:00.000Z',
          },
        },
      });
      expect(server.tokenRequests).toEqual(['authorization_code ok']);
      expect(product.output()).not.toMatch(/acme-secret|123-45-6789/);
    } finally {
      await product.stop();
      await product.remove();
    }
  });

  it('lists what has no credentials, and says which are missing; warns of what nobody has tried', async () => {
    const product = await startProduct({
      INTEGRATIONS_FILE: 'docs/integrations.yaml',
      GITHUB_CLIENT_ID: 'id',
      GITHUB_CLIENT_SECRET: 'secret',
    });
    try {
      const { data } = await product.graphql('{ integrations { id } }');
      expect(data.integrations.map(({ id }: { id: string }) => id)).toEqual(
        expect.arrayContaining(['quickbooks', 'github', 'dropbox']),
      );
      const refused = await product.graphql(
        'mutation { connect(input: { integrationId: "xero" }) { problem { code actor } } }',
      );
      expect(refused.data.connect.problem).toEqual({ code: 'NOT_CONFIGURED', actor: 'OPERATOR' });
      const warning = product
        .output()
        .split('\n')
        .find((line) => line.includes('not verified'))!;
      expect(JSON.parse(warning)).toMatchObject({ integrations: ['github'] });
      const begun = await product.graphql(
        'mutation { connect(input: { integrationId: "github" }) { authorizationUrl } }',
      );
      expect(begun.data.connect.authorizationUrl).toMatch(
        /^https:\/\/github\.com\/login\/oauth\/authorize\?/,
      );
    } finally {
      await product.stop();
      await product.remove();
    }
  });

  it('does not start with a mistake in it, and prints a line for each', async () => {
    const wrong = join(directory, 'wrong.yaml');
    await writeFile(wrong, 'integrations:\n  - id: acme\n    clientSecret: hunter2\n    nam: Acme\n');
    const child = runMain({ INTEGRATIONS_FILE: wrong, PORT: '0', DATA_DIR: directory });
    expect(await child.exited).toBe(1);
    expect(child.output().trim().split('\n')).toEqual([
      `INTEGRATIONS_FILE ${wrong}:2:5: acme.displayName is missing`,
      `INTEGRATIONS_FILE ${wrong}:2:5: acme.tokenUrl is missing`,
      `INTEGRATIONS_FILE ${wrong}:2:5: acme.api is missing`,
      `INTEGRATIONS_FILE ${wrong}:3:5: acme.clientSecret does not belong into the file: set ACME_CLIENT_SECRET`,
      `INTEGRATIONS_FILE ${wrong}:4:5: acme.nam is not known: did you mean displayName?`,
    ]);
  });

  it('calls nothing inside in production that the file names, whatever its names lead to', async () => {
    const inside = join(directory, 'inside.yaml');
    const text = blocks('yaml')[0]!.replaceAll(/https:\/\/(login|api)\.acme\.example/g, server.url);
    await writeFile(inside, text);
    const child = runMain({
      INTEGRATIONS_FILE: inside,
      PORT: '0',
      DATA_DIR: directory,
      NODE_ENV: 'production',
    });
    expect(await child.exited).toBe(1);
    const lines = child.output().trim().split('\n');
    expect(lines).toHaveLength(4);
    for (const line of lines) expect(line).toMatch(/(Url|baseUrl) must be an https URL$/);
  });
});
