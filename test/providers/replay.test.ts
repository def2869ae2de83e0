import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sanitized } from '../../src/calls/sanitize.ts';
import { myCarrierPackets } from '../../src/providers/myCarrierPackets.ts';
import { consent } from '../support/browser.ts';
import { capturingProxy } from '../support/capturingProxy.ts';
import { openCore, type TestCore } from '../support/core.ts';
import { databaseKinds, embeddedDatabase } from '../support/databases.ts';
import { startProduct } from '../support/product.ts';
import {
  asked,
  round,
  sandboxUser,
  throughProduct,
  type Read,
  type Through,
} from '../support/recordedRound.ts';
import { fixturesOf, replayServer } from '../support/replayServer.ts';

const integrations = Object.keys(asked);
const masked = Object.values(myCarrierPackets.masked!).flat();
const realmId = '9341452881001001';

const through = (product: TestCore, authorize: Through['authorize']): Through => ({
  async ask(source, variables = {}) {
    const { data, errors } = await product.query(source, variables);
    expect(errors).toBeUndefined();
    return data;
  },
  authorize,
  async comeBack(location) {
    const integrationId = new URL(location).pathname.split('/')[2]!;
    expect(await product.callback(location, integrationId)).toMatchObject({ problem: null });
  },
  credentials: sandboxUser,
});
/** Nobody is asked: the replay takes any code. */
const agreed = (authorizationUrl: string) => {
  const { searchParams } = new URL(authorizationUrl);
  const query = new URLSearchParams({ code: 'any', state: searchParams.get('state')!, realmId });
  return Promise.resolve(`${searchParams.get('redirect_uri')}?${query.toString()}`);
};
const inBrowser = (url: string) => consent(url, {}, /connect|allow/i);

/** What is left of something read when it has been recorded. */
const asRecorded = <T>(value: T): T =>
  sanitized(
    { method: 'GET', url: 'http://x/', headers: {} },
    { status: 200, headers: {}, body: JSON.stringify(value) },
    masked,
  ).response.body as T;
const filesIn = async (directory: string) =>
  Object.fromEntries(
    await Promise.all(
      integrations.map(async (id) => [id, (await readdir(join(directory, id))).toSorted()] as const),
    ),
  );
const opened: { close(): Promise<void> }[] = [];
const open = async <T extends { close(): Promise<void> }>(opening: Promise<T>): Promise<T> => {
  const one = await opening;
  opened.push(one);
  return one;
};
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'integrations-recorded-'));
});
afterEach(async () => {
  for (const one of opened.splice(0).toReversed()) await one.close();
  await rm(directory, { recursive: true });
});

describe.each(databaseKinds)('a round with the emulated QuickBooks, %s', (_kind, database) => {
  it('is recorded without anything secret, and replayed with the same records', async () => {
    const wire = await open(capturingProxy());
    const product = await openCore(database, { recordDir: directory, replayUrl: wire.url });
    wire.target = product.sandbox.url;
    let read: Read;
    const secrets = new Set([product.sandbox.quickbooks.clientSecret, product.sandbox.quickbooks.clientId]);
    try {
      const person = async (url: string) => {
        const location = await inBrowser(url);
        for (const name of ['code', 'state']) secrets.add(new URL(location).searchParams.get(name)!);
        return location;
      };
      read = await round('quickbooks', through(product, person));
    } finally {
      await product.close();
    }

    for (const { request, response } of wire.captured) {
      secrets.add(request.headers.authorization!.split(' ')[1]!);
      const [sent, got] = [new URLSearchParams(request.body), response.body];
      for (const name of ['code', 'code_verifier', 'refresh_token']) secrets.add(sent.get(name) ?? '');
      for (const [, value] of got.matchAll(/"(?:access|refresh)_token":"([^"]+)"/g)) secrets.add(value!);
      for (const [mail] of got.matchAll(/[\w.-]+@[\w.-]+/g)) secrets.add(mail);
      for (const [phone] of got.matchAll(/\(\d{3}\) \d{3}-\d{4}/g)) secrets.add(phone);
    }
    secrets.delete('');
    // Two pairs of tokens, a code, its verifier, the state, the client twice; mail and telephone of companies.
    expect(secrets.size).toBeGreaterThan(12);
    const folder = join(directory, 'quickbooks');
    const names = await readdir(folder);
    expect(names.length).toBe(8);
    const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
    const everything = names.join('\n') + texts.join('\n');
    expect([...secrets].filter((secret) => everything.includes(secret))).toEqual([]);

    const replay = await open(replayServer([folder]));
    const again = await open(openCore(database, { replayUrl: replay.url }));
    const replayed = await round('quickbooks', through(again, agreed));
    expect(replay.unknown).toEqual([]);
    expect(replayed).toEqual(asRecorded(read));
    expect(replayed.records.map((one) => one?.externalId)).toEqual(['11', '27', '100', '103', undefined]);
    expect(replayed.records.map((one) => one?.updatedAt)).toEqual(read.records.map((one) => one?.updatedAt));
  });
});

describe('recordings', () => {
  it.each(integrations)(
    'of %s that are kept are replayed from connect to disconnect',
    async (integration) => {
      const replay = await open(replayServer([fixturesOf(integration)], masked));
      const product = await open(openCore(embeddedDatabase, { replayUrl: replay.url }));
      const { records, profile } = await round(integration, through(product, agreed));
      expect(replay.unknown).toEqual([]);
      expect(records.map((one) => one?.externalId)).toEqual(
        asked[integration]!.map(([, id], i, all) => (i === all.length - 1 ? undefined : id)),
      );
      expect(profile === null).toBe(integration === 'mycarrierpackets');
      // From the recordings, and not from the sandbox that runs beside them.
      for (const one of records.slice(0, -1)) expect(JSON.stringify(one!.payload)).toContain('[hidden]');
      expect(replay.answered()).toBeGreaterThan(3);
    },
  );

  it('name in a 500 what nobody has recorded', async () => {
    const replay = await open(replayServer([fixturesOf('slack')]));
    const answer = await fetch(`${replay.url}/slack/api/chat.postMessage?a=1`, {
      method: 'POST',
      body: new URLSearchParams({ channel: 'C1', token: 'a secret' }),
    });
    expect(answer.status).toBe(500);
    const named = 'POST /slack/api/chat.postMessage [["a","1"]] {"channel":"C1","token":"[hidden]"}';
    expect(await answer.json()).toEqual({ error: `not recorded: ${named}` });
    expect(replay.unknown).toEqual([named]);
  });

  it(
    'that the program makes with RECORD_DIR are those that are kept, request by request',
    { timeout: 60_000 },
    async () => {
      const product = await startProduct({ RECORD_DIR: directory, ROLE: 'api' });
      try {
        for (const integration of integrations) await round(integration, throughProduct(product));
        expect(product.output()).toContain('RECORD_DIR is set');
      } finally {
        await product.stop();
        await product.remove();
      }
      expect(await filesIn(directory)).toEqual(await filesIn(fixturesOf('.')));
    },
  );
});
