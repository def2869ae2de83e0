/**
 * What the product does with its tables, once, for one account: each way in, each worker and each of the operators'
 * verbs that names an account.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeCursor } from '../../../src/db/pages.ts';
import { CursorError } from '../../../src/events/feed.ts';
import { countOldDataKeys, deleteOldDataKeys, rotateDataKeys } from '../../../src/oauth/dataKeyRotation.ts';
import { parseMasterKeys } from '../../../src/oauth/encryption.ts';
import { rotateMasterKey } from '../../../src/oauth/keyRotation.ts';
import { accountsErase } from '../../../src/ops/accountsErase.ts';
import type { Command } from '../../../src/ops/command.ts';
import { connectionsList } from '../../../src/ops/connectionsList.ts';
import {
  intuitScheme,
  myCarrierPacketsScheme,
  slackScheme,
  type SignatureScheme,
} from '../../../src/providers/signatures.ts';
import { sign } from '../../../src/webhooks/verify.ts';
import { consent } from '../browser.ts';
import { identityOf, openCore, returnTo, webhookSecret, type TestCore } from '../core.ts';
import { quickBooksCompany } from '../quickbooksCompany.ts';
import { cloudEvents } from '../webhooks.ts';
import { account } from './twin.ts';

const who = identityOf(account);
const minute = 60_000;
const day = 24 * 60 * minute;
/** The first one seals. */
const masterKeys = [7, 8].map((byte) => `k${byte}:${Buffer.alloc(32, byte).toString('base64')}`);

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const giveUpAt = performance.now() + 60_000; !(await holds()); await sleep(200))
    if (performance.now() > giveUpAt) throw new Error(`The tour waits in vain until ${what}.`);
}

/** Past the trials. */
async function directly(product: TestCore, statement: string): Promise<unknown[]> {
  if (product.database.kind !== 'embedded') throw new Error('Not embedded');
  return (await product.database.pglite.exec(statement)).flatMap(({ rows }) => rows);
}

async function ask(product: TestCore, source: string, variables: Record<string, unknown> = {}) {
  const { data, errors } = await product.query(source, variables, account);
  if (errors) throw new Error(JSON.stringify(errors));
  return data as Record<string, any>; // oxlint-disable-line typescript/no-explicit-any -- an answer's shape is the query's
}

const announce = async (
  product: TestCore,
  scheme: SignatureScheme,
  secret: string,
  to: { integrationId: string; connectionId?: string },
  content: unknown,
) => {
  const body = Buffer.from(JSON.stringify(content));
  const timestamp = Math.floor(product.clock.now() / 1_000);
  const headers = { 'content-type': 'application/json', ...sign(scheme, secret, body, { timestamp }) };
  const answer = await product.receiver.receive({ ...to, headers, body });
  if (answer.status !== 200) throw new Error(`A webhook was answered ${answer.status}`);
  await until('deliveries are worked off', async () => {
    const waiting = await directly(product, `select 1 from webhook_deliveries where status = 'RECEIVED'`);
    return waiting.length === 0;
  });
};

const everything = `query ($record: ID = "41", $after: String) { connections {
  id status problem { code } rateLimit { limit } profile { name }
  record(resource: "Invoice", externalId: $record) { payload }
  records(resource: "Invoice", first: 1, after: $after) { nodes { externalId } pageInfo { endCursor } }
  syncStatuses { state } events(first: 1) { nodes { kind } pageInfo { endCursor } }
  deliveries(first: 1) { nodes { id } } } }`;

async function quickBooks(product: TestCore): Promise<void> {
  const following = product.feed.follow(account, {});
  product.deliveries.start();
  const connection = await product.connected(account);
  const customers = quickBooksCompany(product, connection, 'Customer');
  product.polling.start();
  const idle = () =>
    until('everything is synced', async () => {
      const { connections } = await ask(
        product,
        '{ connections { syncStatuses { resource state lastSyncedAt nextPollAt } } }',
      );
      const polled = (connections[0].syncStatuses as Record<string, unknown>[]).filter(
        (one) => one.nextPollAt,
      );
      return polled.length > 0 && polled.every((one) => one.state === 'IDLE' && one.lastSyncedAt);
    });
  await idle();
  await ask(product, everything);
  await customers.create({ DisplayName: 'Somebody new' });
  const sync = `mutation ($id: ID!, $full: Boolean) { syncConnection(input: { connectionId: $id, full: $full }) {
    problem { code } } }`;
  for (const full of [false, true]) {
    product.clock.shift(minute);
    await ask(product, sync, { id: connection.id, full });
    await idle();
  }
  await product.polling.stop();
  for (const full of [false, true]) await ask(product, sync, { id: connection.id, full });
  const realm = connection.externalId!;
  for (const externalId of ['41', '42', 'no-such'])
    await announce(
      ...([product, intuitScheme, webhookSecret, { integrationId: 'quickbooks' }] as const),
      cloudEvents([{ id: randomUUID(), realm, entity: 'invoice', externalId }]),
    );
  const [{ records }] = (await ask(product, everything)).connections;
  await ask(product, everything, { after: records.pageInfo.endCursor });

  await directly(product, `update webhook_deliveries set status = 'DEAD'`);
  const [{ deliveries }] = (await ask(product, everything)).connections;
  const redrive = `mutation ($ids: [ID!]!) { redriveDeliveries(input: { deliveryIds: $ids }) { problem { code } } }`;
  await ask(product, redrive, { ids: deliveries.nodes.map((one: { id: string }) => one.id) });

  await (await following).return?.();
  // A new reader knows nothing yet; and what followed its cursor is kept no longer.
  await (await product.feed.follow(account, {})).return?.();
  await directly(product, 'delete from sync_events where sequence = 2');
  const after = encodeCursor('1');
  await product.feed.follow(account, { after }).catch((error: unknown) => {
    if (!(error instanceof CursorError)) throw error;
  });

  await product.admin('POST', 'faults', { count: 100, status: 503, match: { pathContains: '/v3/company/' } });
  await product.query(everything, {}, account);
  await product.admin('DELETE', 'faults');

  product.clock.shift(50 * minute);
  await product.upkeep.refreshDue();
  await product.connections.refresh(who, connection.id);
  await product.upkeep.probeDue();
  await endOfAGrant(product, connection.id);
  await disconnect(product, connection.id);
}

async function endOfAGrant(product: TestCore, id: string): Promise<void> {
  const late = { count: 1, delayMs: 500, match: { pathContains: '/tokens/bearer' } };
  await product.admin('POST', 'faults', late);
  const refreshing = product.connections.refresh(who, id);
  await sleep(200);
  const status = (is: string) =>
    directly(product, `update connections set status = '${is}' where id = '${id}'`);
  await status('NEEDS_REAUTHORIZATION');
  await refreshing;
  await status('ACTIVE');
  const denied = {
    count: 1,
    status: 400,
    body: { error: 'invalid_grant' },
    match: { pathContains: '/tokens/bearer' },
  };
  await product.admin('POST', 'faults', denied);
  await product.connections.refresh(who, id);
  await product.admin('DELETE', 'faults');
  await product.connected(account);
}

async function rotation(product: TestCore): Promise<void> {
  const master = parseMasterKeys(masterKeys.toReversed().join(','));
  const deps = { db: product.db, master, clock: product.clock, graceMs: 1_000 };
  await rotateMasterKey(deps, () => undefined);
  await rotateDataKeys(deps, account, () => undefined);
  // What the twin has an hour later is old by then.
  product.clock.shift(180 * minute);
  await countOldDataKeys(product.db, account);
  await deleteOldDataKeys(deps, account);
}

async function disconnect(product: TestCore, id: string): Promise<void> {
  await product.admin('POST', 'faults', { count: 1_000, status: 503, match: { pathContains: '/revoke' } });
  await product.connections.disconnect(who, id);
  await product.connections.disconnect(who, id);
  // One that was being revoked when its process died. The same company again: what was to be revoked is needed.
  await directly(product, `update token_revocations set sending_until = now() - interval '1 minute'`);
  await product.connected(account);
  const again = (await product.connections.list(account)).find(({ status }) => status === 'ACTIVE')!;
  const late = { count: 1, delayMs: 500, match: { pathContains: '/tokens/bearer' } };
  await product.admin('POST', 'faults', late);
  const refreshing = product.connections.refresh(who, again.id);
  await sleep(100);
  await product.connections.disconnect(who, again.id);
  await refreshing;
  await product.admin('DELETE', 'faults');
  product.clock.shift(31 * day);
  while (await product.retention.prune());
}

async function slack(product: TestCore): Promise<void> {
  product.deliveries.start();
  const connection = await product.connected(account, {}, 'slack');
  const seconds = Math.floor(product.clock.now() / 1_000) + 1;
  await announce(
    product,
    slackScheme,
    product.sandbox.slack.signingSecret,
    { integrationId: 'slack' },
    {
      ...{
        type: 'event_callback',
        team_id: connection.externalId,
        event_id: `Ev${randomUUID()}`,
        event_time: seconds,
      },
      event: {
        type: 'tokens_revoked',
        tokens: { oauth: ['U0SOMEONE'], bot: [] },
        event_ts: `${seconds}.000100`,
      },
    },
  );
  // The token has run out: it is renewed for its own end.
  product.clock.shift(13 * 60 * minute);
  await product.connections.disconnect(who, connection.id);
}

async function myCarrierPackets(product: TestCore): Promise<void> {
  product.deliveries.start();
  const { username, password } = product.sandbox.myCarrierPackets;
  const { connection } = await product.connections.connect({
    ...{ accountId: account, userId: who.userId, integrationId: 'mycarrierpackets' },
    credentials: { username, password, webhookSecret: 'the first secret' },
  });
  const { id } = connection!;
  const set = `mutation ($id: ID!) { setWebhookSecret(input: { connectionId: $id, secret: "the second secret" }) {
    problem { code } } }`;
  await ask(product, set, { id });
  await announce(
    ...([
      product,
      myCarrierPacketsScheme,
      'the second secret',
      { integrationId: 'mycarrierpackets', connectionId: id },
    ] as const),
    {
      ...{
        eventType: 'carrier.packet.completed',
        eventDateTime: new Date(product.clock.now()).toISOString(),
      },
      eventData: { carrier: { dotNumber: 9_999_997 } },
    },
  );
  await rotation(product);
  await product.connections.disconnect(who, id);
}

async function confirmed(product: TestCore): Promise<void> {
  const agreed = async () =>
    product.callback(await consent(await product.authorizationUrl(account, { returnTo })));
  await agreed();
  product.clock.shift(11 * minute);
  await product.upkeep.dropUnconfirmed();
  const { completionCode } = await agreed();
  await product.connections.completeConnect(who, completionCode!);
}

async function operators(product: TestCore): Promise<void> {
  const { id } = await product.connected(account);
  await product.connected(account, {}, 'slack');
  await product.admin('POST', 'faults', { count: 1_000, status: 503, match: { pathContains: '/revoke' } });
  await product.connections.disconnect(who, id);
  const run = (command: Command, operands: string[], options: Record<string, string | boolean>) =>
    command.run({
      ...{ operands, options, print: () => Promise.resolve(), open: () => Promise.resolve(product.database) },
      settings: () => Promise.reject(new Error('None is needed.')),
    });
  await run(connectionsList, [], { account });
  await run(accountsErase, [account], {});
  await run(accountsErase, [account], { yes: true });
}

/** Each with a product of its own. */
export const visits: { settings: Parameters<typeof openCore>[1]; visit(product: TestCore): Promise<void> }[] =
  [
    { settings: {}, visit: quickBooks },
    { settings: {}, visit: slack },
    { settings: { encryptionKeys: masterKeys.join(',') }, visit: myCarrierPackets },
    { settings: { completion: 'confirm' }, visit: confirmed },
    { settings: {}, visit: operators },
  ];
