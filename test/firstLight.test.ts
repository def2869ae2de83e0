import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consent, visit } from './support/browser.ts';
import { emptyPostgresUrl } from './support/databases.ts';
import { main, startProduct, type Product } from './support/product.ts';

const connect = `mutation ($returnTo: String) {
  connect(input: { integrationId: "quickbooks", returnTo: $returnTo }) {
    connection { id status externalId connectedAt }
    authorizationUrl expiresAt problem { code message actor }
  }
}`;
const status = `query ($id: ID!) { connection(id: $id) {
  id status externalId checkedAt tokenExpiresAt nextRefreshAt reauthorizeBy disconnectedAt
  problem { code actor }
  syncStatuses { resource state }
} }`;

interface Request {
  method: string;
  path: string;
  status: number;
}

describe.each(['embedded', 'postgres'])('the product on a fresh %s database', (kind) => {
  let product: Product;
  let database: { url: string; drop(): Promise<void> } | undefined;
  let id: string;

  const requests = async (pathContains: string): Promise<Request[]> => {
    const answer = (await (await fetch(`${product.sandboxUrl}/_admin/requests`)).json()) as
      Request[] | { requests: Request[] };
    const log = Array.isArray(answer) ? answer : answer.requests;
    return log.filter((request) => request.path.includes(pathContains));
  };
  const forget = () => fetch(`${product.sandboxUrl}/_admin/requests`, { method: 'DELETE' });

  beforeAll(async () => {
    if (kind === 'postgres') database = await emptyPostgresUrl();
    const settings = { RETURN_TO_ORIGINS: 'https://app.example.com', LOG_LEVEL: 'debug' };
    // Empty: the very first start.
    const dataDir = await mkdtemp(join(tmpdir(), 'integrations-'));
    const url = database && { DATABASE_URL: database.url };
    product = await startProduct({ ...settings, ...url }, dataDir, main);
  });
  afterAll(async () => {
    await product?.stop();
    await product?.remove();
    await database?.drop();
  });

  it('says that it is alive and ready', async () => {
    expect((await fetch(`${product.url}/healthz`)).status).toBe(200);
    expect((await fetch(`${product.url}/readyz`)).status).toBe(200);
  });

  it('lists what can be connected', async () => {
    const { data } = await product.graphql(
      '{ integrations { id name auth resources health connection { id } } }',
    );
    expect(data.integrations).toContainEqual({
      id: 'quickbooks',
      name: 'QuickBooks Online',
      auth: 'OAUTH2',
      resources: expect.arrayContaining(['Customer', 'Invoice', 'Payment', 'Vendor', 'Bill']) as string[],
      health: 'HEALTHY',
      connection: null,
    });
  });

  it('connects in the browser', async () => {
    const { data } = await product.graphql(connect, { returnTo: 'https://app.example.com/settings?tab=2' });
    expect(data.connect).toMatchObject({
      connection: { status: 'PENDING', externalId: null },
      problem: null,
    });
    id = data.connect.connection.id as string;

    const back = await visit(await consent(data.connect.authorizationUrl as string));
    expect(back.status).toBe(303);
    expect(back.location).toBe(`https://app.example.com/settings?tab=2&connectionId=${id}&status=connected`);
    expect(back.headers.get('cache-control')).toBe('no-store');
    expect(back.headers.get('referrer-policy')).toBe('no-referrer');

    const after = await product.graphql(status, { id });
    expect(after.data.connection).toMatchObject({
      status: 'ACTIVE',
      externalId: expect.stringMatching(/^\d+$/) as string,
      checkedAt: expect.any(String) as string,
      reauthorizeBy: expect.any(String) as string,
      problem: null,
    });
    expect(after.data.connection.syncStatuses).toContainEqual({ resource: 'Invoice', state: 'IDLE' });
    const life = Date.parse(after.data.connection.tokenExpiresAt as string) - Date.now();
    expect(life / 3_600_000).toBeCloseTo(1, 1);
    const refreshIn = Date.parse(after.data.connection.nextRefreshAt as string) - Date.now();
    expect(refreshIn / life).toBeGreaterThan(0.74);
    expect(refreshIn / life).toBeLessThan(0.81);
  });

  it('refuses to connect what is connected', async () => {
    const { data } = await product.graphql(connect);
    expect(data.connect).toMatchObject({ connection: { id }, authorizationUrl: null });
    expect(data.connect.problem).toMatchObject({ code: 'ALREADY_CONNECTED' });
  });

  it('reads the company and a record, live', async () => {
    const { data, errors } = await product.graphql(
      `query ($id: ID!) { connection(id: $id) {
        profile { id name }
        rateLimit { limit windowSeconds remaining queued }
        record(resource: "Invoice", externalId: "41") { id payload updatedAt deleted stale }
      } }`,
      { id },
    );
    expect(errors).toBeUndefined();
    expect(data.connection.profile.name).toMatch(/\w/);
    expect(data.connection.rateLimit).toMatchObject({ limit: 10, windowSeconds: 1 });
    expect(data.connection.record).toMatchObject({
      id: `${id}/Invoice/41`,
      payload: { Id: '41', CustomerRef: { value: expect.any(String) as string } },
      deleted: false,
      stale: false,
    });
  });

  it('asks the provider twice for 45 references of one connection', async () => {
    await forget();
    const representations = Array.from({ length: 45 }, (_, i) => ({
      __typename: 'ExternalRecord',
      id: `${id}/Invoice/${i + 41}`,
    }));
    const { data, errors } = await product.graphql(
      `query ($r: [_Any!]!) { _entities(representations: $r) { ... on ExternalRecord { id payload } } }`,
      { r: representations },
    );
    expect(errors).toBeUndefined();
    const found = (data._entities as ({ id: string; payload: { Id: string } } | null)[]).filter(
      (one) => one !== null,
    );
    expect(found.length).toBeGreaterThan(10);
    for (const { id: recordId, payload } of found) expect(recordId).toBe(`${id}/Invoice/${payload.Id}`);
    // Whatever the first round of the poll reads meanwhile is none of these.
    expect(await requests('Id%20in')).toHaveLength(2);
  });

  it('refreshes on request', async () => {
    const { data } = await product.graphql(
      `mutation ($id: ID!) { refresh(input: { connectionId: $id }) { connection { status } problem { code } } }`,
      { id },
    );
    expect(data.refresh).toEqual({ connection: { status: 'ACTIVE' }, problem: null });
    expect((await requests('/tokens/bearer')).at(-1)).toMatchObject({ status: 200 });
  });

  it('shows what happened, oldest first', async () => {
    const { data } = await product.graphql(
      `query ($id: ID!) { connection(id: $id) { events(first: 10) { nodes { kind source } pageInfo { hasNextPage } } } }`,
      { id },
    );
    expect(data.connection.events.nodes.length).toBeGreaterThanOrEqual(2);
    expect(data.connection.events.nodes[0]).toEqual({ kind: 'CONNECTION_CHANGED', source: 'USER' });
  });

  it('shows another account nothing: null to queries, NOT_FOUND to mutations', async () => {
    const rival = { 'x-account-id': 'rival' };
    expect((await product.graphql(status, { id }, rival)).data).toEqual({ connection: null });
    expect((await product.graphql('{ connections { id } }', {}, rival)).data).toEqual({ connections: [] });
    for (const name of ['refresh', 'disconnect']) {
      const mutation = `mutation ($id: ID!) { m: ${name}(input: { connectionId: $id }) { connection { id } problem { code } } }`;
      const { data } = await product.graphql(mutation, { id }, rival);
      expect(data.m).toEqual({ connection: null, problem: { code: 'NOT_FOUND' } });
    }
    expect((await product.graphql(status, { id })).data.connection.status).toBe('ACTIVE');
  });

  it('disconnects, revokes, and does so twice without harm', async () => {
    const mutation = `mutation ($id: ID!) { disconnect(input: { connectionId: $id }) {
      connection { status disconnectedAt tokenExpiresAt } revocation problem { code } } }`;
    for (let round = 1; round <= 2; round++) {
      const { data } = await product.graphql(mutation, { id });
      expect(data.disconnect).toMatchObject({
        connection: { status: 'DISCONNECTED', tokenExpiresAt: null },
        revocation: 'REVOKED',
        problem: null,
      });
    }
    expect(await requests('/revoke')).toMatchObject([{ status: 200 }]);
  });

  it('makes a new connection after that', async () => {
    const { data } = await product.graphql(connect);
    expect(data.connect.problem).toBeNull();
    expect(data.connect.connection.id).not.toBe(id);
  });

  it('has printed no token, code or state', async () => {
    const output = product.output();
    expect(output).toContain('"msg":"provider call"');
    for (const secret of [/code=[^[\s"]/, /state=[^[\s"]/, /Bearer (?!<)\w/, /refresh_token=/])
      expect(output).not.toMatch(secret);
  });

  it('drains on SIGTERM and ends with 0', async () => {
    expect(await product.stop()).toBe(0);
  });
});
