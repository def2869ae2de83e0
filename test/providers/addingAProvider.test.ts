import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtInProviders } from '../../src/providers/catalog.ts';
import { consent, visit } from '../support/browser.ts';
import { edited, movedTo, readGuide } from '../support/guide.ts';
import { parcelwise } from '../support/parcelwise/provider.ts';
import { startParcelwise, type ParcelwiseServer } from '../support/parcelwise/server.ts';
import { startProduct, type Product } from '../support/product.ts';

const root = new URL('../../', import.meta.url);
const folder = new URL('test/support/parcelwise/', root);

describe('docs/adding-a-provider.md', () => {
  it('is the file that is tested here; `npm test -- test/providers/addingAProvider.test.ts -u` writes that anew', async () => {
    const { file } = await readGuide();
    await expect(await movedTo(folder, file)).toMatchFileSnapshot('../support/parcelwise/provider.ts');
  });

  it('goes through the members in the order of `Provider`, as every provider’s file does', async () => {
    const source = await readFile(new URL('src/providers/provider.ts', root), 'utf8');
    const body = /^export interface Provider \{\n([^]*?)^\}/m.exec(source)![1]!;
    const order = [...body.matchAll(/^ {2}(\w+)\??[:(]/gm)].map(([, member]) => member!);
    expect(order.slice(0, 4)).toEqual(['id', 'name', 'auth', 'endpoints']);
    const inOrder = (members: string[]) => order.filter((member) => members.includes(member));
    const { members, file } = await readGuide();
    expect(members).toEqual(inOrder(members));
    for (const provider of [...builtInProviders, parcelwise])
      expect(Object.keys(provider)).toEqual(inOrder(Object.keys(provider)));
    expect(members).toEqual(Object.keys(parcelwise));
    // It says of every other member why it is left out.
    const text = await readFile(new URL('docs/adding-a-provider.md', root), 'utf8');
    const leftOut = order.filter((member) => !members.includes(member));
    for (const member of leftOut) expect(text.replaceAll('\n', ' ')).toContain(`\`${member}\` is left out`);
    expect(file).not.toMatch(/\b(?:setTimeout|Date\.now|fetch|process)\b/);
  });
});

describe('a copy of the program to which the guide has been done', () => {
  let directory: string;
  let server: ParcelwiseServer;
  let product: Product;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'guide-'));
    const path = (name: string) => join(directory, name);
    for (const name of ['src', 'resolvers', 'migrations', 'schema.graphql', 'package.json'])
      await cp(fileURLToPath(new URL(name, root)), path(name), { recursive: true });
    await symlink(fileURLToPath(new URL('node_modules', root)), path('node_modules'));
    const { file, edits } = await readGuide();
    await writeFile(path('src/providers/parcelwise.ts'), file);
    const catalog = path('src/providers/catalog.ts');
    await writeFile(catalog, edited(await readFile(catalog, 'utf8'), edits));
    server = await startParcelwise();
    const { endpoints, credentials, webhookSecret } = server;
    product = await startProduct(
      {
        SANDBOX: 'false',
        PARCELWISE_CLIENT_ID: credentials.clientId,
        PARCELWISE_CLIENT_SECRET: credentials.clientSecret,
        PARCELWISE_WEBHOOK_SECRETS: webhookSecret,
        PARCELWISE_AUTHORIZE_URL: endpoints.authorizeUrl,
        PARCELWISE_TOKEN_URL: endpoints.tokenUrl,
        PARCELWISE_REVOKE_URL: endpoints.revokeUrl,
        PARCELWISE_API_URL: endpoints.apiUrl,
      },
      undefined,
      path('src/main.ts'),
    );
  });
  afterAll(async () => {
    await product?.stop();
    await product?.remove();
    await server?.close();
    await rm(directory, { recursive: true, force: true });
  });

  it('lists the integration with what the file says', async () => {
    const { data } = await product.graphql(
      '{ integration(id: "parcelwise") { name auth scopes resources deliversWebhooks } }',
    );
    expect(data.integration).toEqual({
      name: 'Parcelwise',
      auth: 'OAUTH2',
      scopes: ['shipments:read', 'warehouses:read', 'offline'],
      resources: ['Shipment', 'Warehouse', 'Pickup'],
      deliversWebhooks: true,
    });
  });

  it('connects, reads, believes a webhook, refreshes and disconnects', async () => {
    const { data: asked } = await product.graphql(
      'mutation { connect(input: { integrationId: "parcelwise" }) { authorizationUrl problem { code } } }',
    );
    expect(asked.connect.problem).toBeNull();
    const back = await consent(asked.connect.authorizationUrl as string, {}, /allow/i);
    expect(new URL(back).pathname).toBe('/oauth/parcelwise/callback');
    expect((await visit(back)).status).toBeLessThan(400);

    const { data: found } = await product.graphql(
      '{ connections { id status externalId scopes problem { code } profile { id name url } } }',
    );
    const [connection] = found.connections;
    expect(found.connections).toMatchObject([
      {
        status: 'ACTIVE',
        externalId: 'mer_4711',
        scopes: ['shipments:read', 'warehouses:read', 'offline'],
        problem: null,
        profile: { id: 'mer_4711', name: 'Kestrel Outdoor' },
      },
    ]);

    server.requests.length = 0;
    const ids = Array.from({ length: 60 }, (_, i) => `shp_${100_000 + i}`);
    const { data: read, errors } = await product.graphql(
      `query ($refs: [_Any!]!) { _entities(representations: $refs) { ... on ExternalRecord { externalId payload } } }`,
      { refs: ids.map((id) => ({ __typename: 'ExternalRecord', id: `${connection.id}/Shipment/${id}` })) },
    );
    expect(errors).toBeUndefined();
    expect(read._entities.map(({ externalId }: { externalId: string }) => externalId)).toEqual(ids);
    expect(read._entities[0].payload.recipient).toMatchObject({ email: '***', phone: '***', city: 'Bergen' });
    // The first poll comes when it comes.
    const paths = server.requests.map(({ path }) => path).filter((path) => !path.endsWith('/changes'));
    expect(paths).toEqual(['/v2/shipments', '/v2/shipments']);

    const { body, headers } = server.delivery([{ type: 'pickup.updated', object_id: 'pku_000001' }]);
    const post = (more: Record<string, string>) =>
      fetch(`${product.url}/webhooks/parcelwise`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...more },
        body,
      });
    expect((await post(headers)).status).toBe(200);
    const late = server.delivery([{ type: 'pickup.updated', object_id: 'pku_000001' }], 1_700_000_000);
    expect((await post(late.headers)).status).toBe(401);

    const { data: renewed } = await product.graphql(
      `mutation ($id: ID!) { refresh(input: { connectionId: $id }) { connection { tokenRefreshedAt reauthorizeBy } problem { code } } }`,
      { id: connection.id },
    );
    expect(renewed.refresh.problem).toBeNull();
    expect(renewed.refresh.connection.tokenRefreshedAt).toMatch(/^20/);
    const days = (Date.parse(renewed.refresh.connection.reauthorizeBy as string) - Date.now()) / 86_400_000;
    expect(Math.round(days)).toBe(30);

    server.requests.length = 0;
    const { data: ended } = await product.graphql(
      `mutation ($id: ID!) { disconnect(input: { connectionId: $id }) { revocation connection { status } problem { code } } }`,
      { id: connection.id },
    );
    expect(ended.disconnect).toEqual({
      revocation: 'REVOKED',
      connection: { status: 'DISCONNECTED' },
      problem: null,
    });
    // What the webhook made known is read when it is.
    const ending = server.requests.map(({ path }) => path).filter((path) => !path.startsWith('/v2/'));
    expect(ending).toEqual(['/oauth/revoke']);
  });
});
