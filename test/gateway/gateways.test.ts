import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consent, visit } from '../support/browser.ts';
import type { GraphQLAnswer } from '../support/product.ts';
import { stream } from '../subscriptions/support.ts';
import { gatewayKinds, type Gateway } from './gateways.ts';
import { bearer, routerSecret, startSubgraphs, type Subgraphs } from './subgraphs.ts';

const connect = `mutation { connect(input: { integrationId: "quickbooks" }) {
  authorizationUrl problem { code } connection { status account { id name } } } }`;

let subgraphs: Subgraphs;
beforeAll(async () => {
  subgraphs = await startSubgraphs();
  // The provider shares a process with the product and a machine with the gateways: what it is late by, it may not take
  // for calls that came too early. Here every account is connected to the same company.
  await admin('PUT', 'settings', { windowToleranceMs: 500 });
});
afterAll(() => subgraphs?.close());

const admin = (method: string, path: string, body?: object) =>
  fetch(`${subgraphs.product.sandboxUrl}/_admin/${path}`, {
    method,
    ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });

/** What the provider was asked, oldest first. */
async function providerRequests(): Promise<string[]> {
  const { requests } = (await (await admin('GET', 'requests')).json()) as { requests: { path: string }[] };
  return requests.map(({ path }) => decodeURIComponent(path));
}

/** What the person does in the browser, to its end. */
async function complete(authorizationUrl: string): Promise<void> {
  const { status, body } = await visit(await consent(authorizationUrl));
  expect([status, body]).toEqual([200, expect.stringContaining('Connected') as string]);
}

const asker =
  (url: string, authorization: string, headers: Record<string, string> = {}) =>
  async (query: string) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization, ...headers },
      body: JSON.stringify({ query }),
    });
    return (await response.json()) as GraphQLAnswer;
  };

describe.each(gatewayKinds.map((kind, index) => [kind.name, kind, index] as const))(
  'behind %s',
  (_name, kind, index) => {
    const account = `acme-${index}`;
    let gateway: Gateway;
    let authorization: string;
    let connectionId: string;

    const ask = (query: string, own = authorization, headers?: Record<string, string>) =>
      asker(gateway.url, own, headers)(query);
    const codes = (answer: GraphQLAnswer) =>
      (answer.errors ?? []).map(({ path, extensions }) => [path?.join('.'), extensions?.code]);

    /** Three of the provider's own ids, once the first round has brought them. */
    const storedInvoices = async () => {
      const query = '{ connections { records(resource: "Invoice", first: 3) { nodes { externalId } } } }';
      let ids: string[] = [];
      await expect
        .poll(
          async () => {
            const { connections } = (await ask(query)).data as {
              connections: { records: { nodes: { externalId: string }[] } }[];
            };
            return (ids = connections[0]!.records.nodes.map(({ externalId }) => externalId));
          },
          { timeout: 20_000 },
        )
        .toHaveLength(3);
      return ids;
    };

    beforeAll(async () => {
      const { supergraph, parts } = subgraphs;
      authorization = await bearer(account);
      gateway = await kind.open({ supergraph, subgraphs: parts, routerSecret });
    });
    afterAll(() => gateway?.close());

    it('connects by a mutation, whose answer is joined with the account of another subgraph', async () => {
      const { data, errors } = await ask(connect);
      expect(errors).toBeUndefined();
      expect(data.connect).toMatchObject({
        problem: null,
        connection: { status: 'PENDING', account: { id: account, name: `Account ${account}` } },
      });
      await complete(data.connect.authorizationUrl as string);
      const after = await ask('{ connections { id status } }');
      expect(after).toEqual({
        data: { connections: [{ id: expect.any(String) as string, status: 'ACTIVE' }] },
      });
      connectionId = after.data.connections[0].id as string;
    });

    it('joins an account of another subgraph with its connections, live fields included', async () => {
      const query = `{ account(id: "${account}") { name connections { id status profile { name } } } }`;
      expect(await ask(query)).toEqual({
        data: {
          account: {
            name: `Account ${account}`,
            connections: [
              {
                id: connectionId,
                status: 'ACTIVE',
                profile: { name: expect.stringMatching(/\w/) as string },
              },
            ],
          },
        },
      });
    });

    it('reads the records that another subgraph refers to, in one call of the provider', async () => {
      const invoiceIds = await storedInvoices();
      subgraphs.invoices.clear();
      for (const id of invoiceIds) subgraphs.invoices.set(`L${id}`, `${connectionId}/Invoice/${id}`);
      await admin('DELETE', 'requests');
      const query = '{ loads { id invoice { id payload connection { account { name } } } } }';
      expect(await ask(query)).toEqual({
        data: {
          loads: invoiceIds.map((Id) => ({
            id: `L${Id}`,
            invoice: {
              id: `${connectionId}/Invoice/${Id}`,
              payload: expect.objectContaining({ Id }) as object,
              connection: { account: { name: `Account ${account}` } },
            },
          })),
        },
      });
      const reads = (await providerRequests()).filter((path) =>
        invoiceIds.every((id) => path.includes(`'${id}'`)),
      );
      expect(reads).toHaveLength(1);
    });

    it('nulls the one field that a provider fails, with its code, and answers the others', async () => {
      const body = { Fault: { Error: [{ code: '6190' }], type: 'ValidationFault' } };
      const match = { pathContains: '/v3/company/' };
      await admin('POST', 'faults', { count: 1_000, match, status: 400, body });
      const query = `{ account(id: "${account}") { name connections {
        status record(resource: "Invoice", externalId: "44") { payload } } } }`;
      const answer = await ask(query);
      await admin('DELETE', 'faults');
      expect(answer.data).toEqual({
        account: { name: `Account ${account}`, connections: [{ status: 'ACTIVE', record: null }] },
      });
      expect(codes(answer)).toEqual([['account.connections.0.record', 'FORBIDDEN']]);
      expect(answer.errors![0]!.extensions).toMatchObject({ actor: 'ACCOUNT_ADMIN', retryable: false });
    });

    it('answers what is ours while another subgraph is down', async () => {
      subgraphs.lines.accounts.cut();
      const answer = await ask(`{ connections { status } account(id: "${account}") { name } }`);
      subgraphs.lines.accounts.restore();
      expect(answer.data).toEqual({ connections: [{ status: 'ACTIVE' }], account: null });
      expect(codes(answer)).toEqual([kind.unreachable('account')]);
    });

    it('answers what is not ours while we are down', async () => {
      subgraphs.lines.integrations.cut();
      const answer = await ask(`{ account(id: "${account}") { name connections { status } } }`);
      subgraphs.lines.integrations.restore();
      expect(answer.data).toEqual({ account: { name: `Account ${account}`, connections: null } });
      expect(answer.errors?.length).toBeGreaterThan(0);
    });

    it('believes the token that is forwarded, and no header beside it', async () => {
      const query = `{ connections { id } account(id: "${account}") { name } }`;
      const rival = await bearer('rival');
      const answer = await ask(query, rival, { 'x-account-id': account });
      expect(answer.data).toEqual({ connections: [], account: { name: `Account ${account}` } });
      expect(subgraphs.lastHeaders()).toMatchObject({
        ...{ authorization: rival, 'x-account-id': account, 'x-router-secret': routerSecret },
      });
    });

    it('shows another account nothing of it', async () => {
      const query = `{ account(id: "${account}") { name connections { status } }
        loads { id invoice { payload } } connection(id: "${connectionId}") { status } }`;
      const { data, errors } = await ask(query, await bearer('rival'));
      expect(errors).toBeUndefined();
      expect(data).toMatchObject({
        account: { name: `Account ${account}`, connections: null },
        loads: Array.from({ length: 3 }, () => ({ invoice: { payload: null } })),
        connection: null,
      });
    });

    it('keeps apart what two accounts ask in the same words at the same moment', async () => {
      const rival = await bearer('rival');
      const asked = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? authorization : rival));
      const answers = await Promise.all(asked.map((own) => ask('{ connections { id } }', own)));
      expect(answers).toEqual(
        asked.map((own) => ({ data: { connections: own === rival ? [] : [{ id: connectionId }] } })),
      );
    });

    it('passes the refusal of an identity on', async () => {
      const query = `{ account(id: "${account}") { name connections { status } } }`;
      const answer = await ask(query, 'Bearer forged');
      expect(answer.data).toEqual({ account: { name: `Account ${account}`, connections: null } });
      expect(answer.errors?.[0]?.extensions.code).toBe(kind.unauthenticated);
    });

    it('is refused without the proof that it is the router', async () => {
      const { supergraph, parts } = subgraphs;
      const other = await kind.open({ supergraph, subgraphs: parts, routerSecret: undefined });
      try {
        const answer = await asker(other.url, authorization)('{ connections { id } }');
        expect(answer.data ?? null).toBeNull();
        expect(answer.errors?.[0]?.extensions.code).toBe(kind.unauthenticated);
      } finally {
        await other.close();
      }
    });
  },
);

const hive = gatewayKinds.filter(({ name }) => name.startsWith('@graphql-hive/'));
it.each(hive.map((kind) => [kind.name, kind] as const))(
  '%s plans with the planner that it was given, and never silently with the other',
  async (_, kind) => {
    const gateway = await kind.open({
      supergraph: subgraphs.supergraph,
      subgraphs: subgraphs.parts,
      routerSecret,
    });
    try {
      const ask = asker(gateway.url, await bearer('planner'));
      expect(await ask('{ connections { id } }')).toEqual({ data: { connections: [] } });
      expect(gateway.nativePlans!()).toBe(kind.plansNatively ? 1 : 0);
      expect(await ask('{ account(id: "planner") { name connections { id } } }')).toEqual({
        data: { account: { name: 'Account planner', connections: [] } },
      });
      expect(gateway.nativePlans!()).toBe(kind.plansNatively ? 2 : 0);
    } finally {
      await gateway.close();
    }
  },
);

const followed = gatewayKinds.flatMap((kind) =>
  kind.follows.map((following) => [kind.name, following, kind] as const),
);
it.each(followed)(
  '%s joins what a subscription over %s brings with another subgraph, event by event',
  async (name, following, kind) => {
    const { supergraph, parts } = subgraphs;
    const gateway = await kind.open({ supergraph, subgraphs: parts, routerSecret, following });
    const account = `follower of ${name} over ${following}`;
    const authorization = await bearer(account);
    const ask = asker(gateway.url, authorization);
    try {
      const { data } = await ask(connect);
      await complete(data.connect.authorizationUrl as string);
      const events = await stream(gateway.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization },
        body: JSON.stringify({
          query: 'subscription { connectionChanged { id status account { id name } } }',
        }),
      });
      await events.until(1);
      const { id } = events.results()[0]!.data.connectionChanged as { id: string };
      await ask(`mutation { disconnect(input: { connectionId: "${id}" }) { problem { code } } }`);
      await events.until(2);
      events.stop();
      expect(events.results()).toEqual(
        ['ACTIVE', 'DISCONNECTED'].map((status) => ({
          data: { connectionChanged: { id, status, account: { id: account, name: `Account ${account}` } } },
        })),
      );
    } finally {
      await gateway.close();
    }
  },
);

it.each(followed)(
  '%s keeps two accounts apart that ask for the same subscription over %s',
  async (name, following, kind) => {
    const { supergraph, parts } = subgraphs;
    const gateway = await kind.open({ supergraph, subgraphs: parts, routerSecret, following });
    const query = 'subscription { connectionChanged { id status account { id } } }';
    const accounts = ['first', 'second'].map((which) => `${which} of ${name} over ${following}`);
    try {
      const streams = await Promise.all(
        accounts.map(async (account) => {
          const authorization = await bearer(account);
          const headers = {
            ...{ 'content-type': 'application/json', accept: 'text/event-stream', authorization },
          };
          const open = () =>
            stream(gateway.url, { method: 'POST', headers, body: JSON.stringify({ query }) });
          const ask = asker(gateway.url, authorization);
          const { data } = await ask(connect);
          await complete(data.connect.authorizationUrl as string);
          // Two of each, at the same time as those of the other.
          return { account, ask, opened: await Promise.all([open(), open()]) };
        }),
      );
      const ids: string[] = [];
      for (const { opened } of streams) for (const events of opened) await events.until(1, 25_000);
      for (const { ask, opened } of streams) {
        const { id } = opened[0]!.results()[0]!.data.connectionChanged as { id: string };
        ids.push(id);
        await ask(`mutation { disconnect(input: { connectionId: "${id}" }) { problem { code } } }`);
      }
      for (const { opened } of streams) for (const events of opened) await events.until(2, 25_000);
      // Whatever might still come of the other.
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(new Set(ids).size).toBe(2);
      for (const [i, { account, opened }] of streams.entries())
        for (const events of opened) {
          events.stop();
          expect(events.results()).toEqual(
            ['ACTIVE', 'DISCONNECTED'].map((status) => ({
              data: { connectionChanged: { id: ids[i], status, account: { id: account } } },
            })),
          );
        }
    } finally {
      await gateway.close();
    }
  },
  90_000,
);

const others = gatewayKinds.filter(({ follows }) => follows.length === 0);
it.each(others.map((kind) => [kind.name, kind] as const))('%s refuses subscriptions', async (_, kind) => {
  const gateway = await kind.open({
    supergraph: subgraphs.supergraph,
    subgraphs: subgraphs.parts,
    routerSecret,
  });
  try {
    const ask = asker(gateway.url, await bearer('follower'));
    const { data, errors } = await ask('subscription { connectionChanged { status } }');
    expect(data ?? null).toBeNull();
    expect(errors).toHaveLength(1);
  } finally {
    await gateway.close();
  }
});
