/**
 * One round of each built-in integration through GraphQL: connect, read, refresh, disconnect. Whatever is behind it, the
 * emulated provider or a replay of its answers, what was read must be the same.
 */
import assert from 'node:assert/strict';
import { consent, visit } from './browser.ts';
import type { Product } from './product.ts';
import { customerFacts } from '../../src/sandbox/myCarrierPackets/data.ts';

export interface Through {
  /** The data of an answer without errors. */
  ask(source: string, variables?: Record<string, unknown>): Promise<any>; // oxlint-disable-line typescript/no-explicit-any -- an answer's shape is what a test asserts
  /** What the person does at the provider: gives the address that the provider sends the browser back to. */
  authorize(authorizationUrl: string): Promise<string>;
  /** Goes there. */
  comeBack(location: string): Promise<void>;
  credentials: { username: string; password: string };
}

export interface Read {
  profile: { id: string; name: string | null } | null;
  records: ({ externalId: string; payload: unknown; updatedAt: string | null } | null)[];
}

/** Resource and id, of what the emulators always have; and of one that does not exist. */
export const asked: Readonly<Record<string, readonly (readonly [resource: string, externalId: string])[]>> = {
  quickbooks: [
    ['Customer', '11'],
    ['Vendor', '27'],
    ['Invoice', '100'],
    ['Invoice', '103'],
    ['Item', '987654321'],
  ],
  slack: [
    ['Team', 'T07PGLOMAHA'],
    ['Channel', 'C07P00000001'],
    ['User', 'U07P00000001'],
    ['User', 'U0NONE'],
  ],
  mycarrierpackets: [
    ['Carrier', '9999997'],
    ['Carrier', '1'],
  ],
};

export async function round(integrationId: string, through: Through): Promise<Read> {
  const { ask } = through;
  const credentials = integrationId === 'mycarrierpackets' ? through.credentials : null;
  const { connect } = await ask(
    `mutation ($input: ConnectInput!) {
      connect(input: $input) { connection { id } authorizationUrl problem { code message } }
    }`,
    { input: { integrationId, ...(credentials && { credentials }) } },
  );
  assert.equal(connect.problem, null);
  if (!credentials) await through.comeBack(await through.authorize(connect.authorizationUrl));
  const { id } = connect.connection;

  const fields = asked[integrationId]!.map(
    ([resource, externalId], i) =>
      `r${i}: record(resource: "${resource}", externalId: "${externalId}") { externalId payload updatedAt }`,
  );
  const { connection } = await ask(
    `query ($id: ID!) { connection(id: $id) { status profile { id name } ${fields.join('\n')} } }`,
    { id },
  );
  assert.equal(connection.status, 'ACTIVE');

  const { refresh } = await ask(
    `mutation ($id: ID!) { refresh(input: { connectionId: $id }) { problem { code message } } }`,
    { id },
  );
  assert.equal(refresh.problem, null);
  const { disconnect } = await ask(
    `mutation ($id: ID!) { disconnect(input: { connectionId: $id }) { connection { status } } }`,
    { id },
  );
  assert.equal(disconnect.connection.status, 'DISCONNECTED');
  return { profile: connection.profile, records: fields.map((_, i) => connection[`r${i}`]) };
}

/** Through the program and the person's browser; the program is one with a sandbox. */
export const throughProduct = (product: Product): Through => ({
  async ask(source, variables = {}) {
    const { data, errors } = await product.graphql(source, variables);
    assert.equal(errors, undefined);
    return data;
  },
  authorize: (url) => consent(url, {}, /connect|allow/i),
  async comeBack(location) {
    const { pathname, search } = new URL(location);
    assert.equal((await visit(`${product.url}${pathname}${search}`)).status, 200);
  },
  credentials: sandboxUser,
});

/** An integration user of the emulated MyCarrierPackets. */
export const sandboxUser = {
  username: customerFacts[0]!.userName,
  password: customerFacts[0]!.password,
};
