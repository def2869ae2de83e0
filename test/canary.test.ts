import { inspect } from 'node:util';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identityOf, openCore, type TestCore } from './support/core.ts';
import { databaseKinds } from './support/databases.ts';

/** A secret, and how it could be written. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [
    secret,
    // What is left of it where text was cut.
    secret.slice(0, 16),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
    bytes.toString('hex'),
    encodeURIComponent(secret),
  ].filter((text) => text.length >= 12);
}

describe.each(databaseKinds)('no secret that went through the product, %s', (_kind, open) => {
  let product: TestCore;
  let answers: string;
  let secrets: Set<string>;
  beforeEach(async () => {
    answers = '';
    secrets = new Set();
    product = await openCore(open, { requestTimeoutMs: 1_000 });
  });
  afterEach(() => product.close());

  const note = (...found: (string | null | undefined)[]) => {
    for (const secret of found) if (secret) secrets.add(secret);
  };
  const asked = async (source: string) => {
    const answer = await product.query(source);
    answers += JSON.stringify(answer) + (answer.errors ?? []).map((error) => inspect(error)).join('\n');
  };
  /** What is stored now, as only the product can read it. */
  const noteTokens = async () => {
    for (const connection of await product.connections.list('acme'))
      if (connection.status === 'ACTIVE')
        await product.tokens.accessToken(connection).then(
          (token) => note(token.value),
          () => undefined,
        );
  };
  /** All rows of all tables as text, the job queue's too. */
  const dump = async () => {
    const { rows: tables } = await sql<{ schema: string; name: string }>`
      select table_schema as schema, table_name as name from information_schema.tables
      where table_schema in ('public', 'pgboss') and table_type = 'BASE TABLE'`.execute(product.db);
    let text = '';
    for (const { schema, name } of tables) {
      const { rows } = await sql<{ row: string }>`
        select t::text as row from ${sql.id(schema, name)} t`.execute(product.db);
      text += rows.map(({ row }) => row).join('\n');
    }
    return text;
  };

  it('is in a log line, an answer, an event or a row', async () => {
    const { quickbooks, slack, myCarrierPackets } = product.sandbox;
    note(quickbooks.clientSecret, slack.clientSecret, slack.signingSecret, myCarrierPackets.password);
    const webhookSecret = 'canary webhook secret 8d1f2c';
    note(webhookSecret);
    const everything =
      '{ connections { id status problem { message } profile { name } events { nodes { id } } } }';

    await product.connected('acme');
    await product.connected('acme', {}, 'slack');
    const { connection } = await product.connections.connect({
      ...{ accountId: 'acme', userId: 'user-1', integrationId: 'mycarrierpackets' },
      credentials: {
        username: myCarrierPackets.username,
        password: myCarrierPackets.password,
        webhookSecret,
      },
    });
    await noteTokens();
    await asked(everything);
    await asked(
      `{ connection(id: "${connection!.id}") { record(resource: "Carrier", externalId: "9999997") { payload } } }`,
    );

    // Every path on which something goes wrong.
    const url = new URL(await product.authorizationUrl('beta'));
    note(url.searchParams.get('state'), url.searchParams.get('code_challenge'));
    await product.callback(
      `http://localhost:4000/oauth/quickbooks/callback?code=canary-code-1234567&state=${url.searchParams.get('state')}&realmId=1`,
    );
    note('canary-code-1234567');
    for (const fault of [
      { status: 500 },
      { status: 401 },
      { status: 429 },
      { malformed: true },
      { drop: true },
    ]) {
      await product.admin('POST', 'faults', { count: 6, ...fault });
      await asked(everything);
      for (const one of await product.connections.list('acme'))
        await product.connections.refresh(identityOf('acme'), one.id).catch(() => undefined);
      await product.admin('DELETE', 'faults');
      await noteTokens();
    }
    product.clock.shift(61 * 60_000);
    await product.upkeep.refreshDue();
    await noteTokens();
    await product.admin('POST', 'faults', { count: 100, status: 503, match: { pathContains: 'revoke' } });
    for (const one of await product.connections.list('acme'))
      await product.connections.disconnect(identityOf('acme'), one.id);
    await asked(everything);

    expect(secrets.size).toBeGreaterThan(10);
    const places = { logs: product.logs(), answers, rows: await dump() };
    expect(Object.values(places).every((text) => text.length > 1_000)).toBe(true);
    const found = [...secrets].flatMap((secret) =>
      spellings(secret).flatMap((spelling) =>
        Object.entries(places)
          .filter(([, text]) => text.includes(spelling))
          .map(([place]) => `${secret.slice(0, 6)}… in ${place}`),
      ),
    );
    expect(found).toEqual([]);
  }, 60_000);
});
