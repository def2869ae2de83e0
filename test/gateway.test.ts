import { readFileSync } from 'node:fs';
import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { composeServices } from '@apollo/composition';
import { SignJWT } from 'jose';
import { parse } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consent, visit } from './support/browser.ts';
import { startProduct, type Product } from './support/product.ts';

const secret = 'a shared secret of at least thirty-two bytes';
const read = (file: string) => parse(readFileSync(new URL(file, import.meta.url), 'utf8'));
const accountsTypes = read('./composition/accounts.graphql');

const bearer = (account: string) =>
  new SignJWT({ account_id: account, scope: 'integrations:read integrations:write' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('user-1')
    .setExpirationTime('5m')
    .sign(new TextEncoder().encode(secret))
    .then((token) => `Bearer ${token}`);

describe('a gateway over this subgraph and accounts', () => {
  let product: Product;
  let accounts: ApolloServer;
  let gateway: ApolloServer;
  let url: string;

  const ask = async (query: string, authorization: string) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization },
      body: JSON.stringify({ query }),
    });
    return (await response.json()) as { data: unknown; errors?: { extensions: { code: string } }[] };
  };

  beforeAll(async () => {
    product = await startProduct({ AUTH_JWT_SECRET: secret });
    accounts = new ApolloServer({
      schema: buildSubgraphSchema([
        {
          typeDefs: accountsTypes,
          resolvers: {
            Query: { account: (_: unknown, { id }: { id: string }) => ({ id }) },
            Account: {
              __resolveReference: (reference: { id: string }) => reference,
              name: ({ id }: { id: string }) => `Account ${id}`,
            },
          },
        },
      ]),
    });
    const accountsUrl = (await startStandaloneServer(accounts, { listen: { port: 0, host: '127.0.0.1' } }))
      .url;
    const { supergraphSdl, errors } = composeServices([
      { name: 'accounts', url: accountsUrl, typeDefs: accountsTypes },
      { name: 'integrations', url: `${product.url}/graphql`, typeDefs: read('../schema.graphql') },
    ]);
    if (!supergraphSdl) throw new Error(JSON.stringify(errors));

    class Forwarding extends RemoteGraphQLDataSource<{ authorization?: string }> {
      override willSendRequest({
        request,
        context,
      }: Parameters<
        NonNullable<RemoteGraphQLDataSource<{ authorization?: string }>['willSendRequest']>
      >[0]): void {
        if (context.authorization) request.http?.headers.set('authorization', context.authorization);
      }
    }
    gateway = new ApolloServer({
      gateway: new ApolloGateway({
        supergraphSdl,
        buildService: (service) => new Forwarding({ url: service.url! }),
      }),
    });
    const started = await startStandaloneServer(gateway, {
      listen: { port: 0, host: '127.0.0.1' },
      context: ({ req }) => Promise.resolve({ authorization: req.headers.authorization }),
    });
    url = started.url;
  });

  afterAll(async () => {
    await gateway?.stop();
    await accounts?.stop();
    await product?.stop();
    await product?.remove();
  });

  it('joins an account of the one with the live company name of the other', async () => {
    const authorization = await bearer('acme');
    const { data } = await product.graphql(
      'mutation { connect(input: { integrationId: "quickbooks" }) { authorizationUrl } }',
      {},
      { authorization },
    );
    await visit(await consent(data.connect.authorizationUrl as string));

    const query = `{ account(id: "acme") { name connections { status profile { name } } } }`;
    expect(await ask(query, authorization)).toEqual({
      data: {
        account: {
          name: 'Account acme',
          connections: [{ status: 'ACTIVE', profile: { name: expect.stringMatching(/\w/) as string } }],
        },
      },
    });
  });

  it('shows another account nothing of it', async () => {
    const answer = await ask(
      `{ account(id: "acme") { name connections { status } } }`,
      await bearer('rival'),
    );
    expect(answer).toEqual({ data: { account: { name: 'Account acme', connections: null } } });
  });

  it('passes the refusal on when the identity does not verify', async () => {
    const answer = await ask(`{ account(id: "acme") { name connections { status } } }`, 'Bearer forged');
    expect(answer.data).toEqual({ account: { name: 'Account acme', connections: null } });
    expect(answer.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
  });
});
