/**
 * Random valid documents with hostile values, sent to the running product over every transport, and everything that it
 * answers judged. The same seed sends the same documents to the same state.
 */
import { createSchema } from '../../../resolvers/index.ts';
import { consent, visit } from '../browser.ts';
import { otherRealmId } from '../sandbox.ts';
import { startProduct, type Product } from '../product.ts';
import { overCallbacks, overEvents, overGet, overHttp, overSocket, type Ask } from './asking.ts';
import { randomDocuments, type RandomDocument } from './documents.ts';
import { errorLines, judge } from './judge.ts';
import { oneOf, sequence, type Known } from './values.ts';

export interface FuzzOptions {
  documents: number;
  seed: number;
  /** The embedded database when absent. */
  databaseUrl?: string;
  log?: (line: object) => void;
}

export interface FuzzReport {
  documents: number;
  seconds: number;
  /** Answers, by transport. */
  answers: Record<string, number>;
  /** How often each code came. */
  codes: Record<string, number>;
  /** Answers that had no error. */
  good: number;
  /** What no answer may have, with the request. */
  faults: { fault: string; transport: string; body: string }[];
  /** What the product logged of errors. */
  errorLines: string[];
  /** Whether the same process answered to the end. */
  lived: boolean;
}

const accounts = ['acme', 'rival'] as const;
const atOnce = 8;
/** A disconnect ends what others ask about: the accounts are connected anew after so many. */
const reconnectEvery = 250;

export async function fuzz({ documents, seed, databaseUrl, log }: FuzzOptions): Promise<FuzzReport> {
  const product = await startProduct({
    QUICKBOOKS_RATE_LIMIT: '100000/1',
    SLACK_RATE_LIMIT: '100000/1',
    MYCARRIERPACKETS_RATE_LIMIT: '100000/1',
    // What is asked for here is no one account's.
    COST_PER_ACCOUNT_PER_SECOND: '0',
    ...(databaseUrl !== undefined && { DATABASE_URL: databaseUrl }),
  });
  const { url } = product;
  const startedAt = Date.now();
  const socket = overSocket(url);
  const router = await overCallbacks(url);
  const ways: Record<string, Ask> = {
    HTTP: overHttp(url),
    GET: overGet(url),
    'server-sent events': overEvents(url),
    callbacks: router.ask,
    WebSocket: socket.ask,
  };
  const report: FuzzReport = {
    ...{
      documents: 0,
      seconds: 0,
      answers: {},
      codes: {},
      good: 0,
      faults: [],
      errorLines: [],
      lived: false,
    },
  };
  const count = (of: Record<string, number>, key: string) => (of[key] = (of[key] ?? 0) + 1);

  const sendOne = async (document: RandomDocument, way: string, account: string, foreign: string[]) => {
    const { kind, query, variables, operationName } = document;
    const body = { query, variables, ...(operationName !== undefined && { operationName }) };
    const sent = JSON.stringify(body);
    const note = (fault: string) => report.faults.push({ fault, transport: way, body: sent.slice(0, 2_000) });
    try {
      const { status, answers } = await ways[way]!(body, account, kind === 'subscription');
      if (status !== undefined && status >= 500) note(`status ${status}`);
      for (const text of answers) {
        const { faults, codes } = judge(text, sent, foreign);
        faults.forEach(note);
        for (const code of codes) count(report.codes, code);
        if (!text.includes('"errors"')) report.good++;
        count(report.answers, way);
      }
    } catch (error) {
      note(`no answer: ${String(error)}`);
    }
    report.documents++;
  };

  try {
    for (const settings of ['settings', 'slack/settings'])
      await fetch(`${product.sandboxUrl}/_admin/${settings}`, {
        ...{ method: 'PUT', headers: { 'content-type': 'application/json' } },
        body: JSON.stringify({ rateLimits: false }),
      });
    const schema = createSchema();
    const random = sequence(seed);
    while (report.documents < documents) {
      const owned = await populate(product);
      const known = knownFrom(owned, url);
      const next = randomDocuments(schema, known, random);
      const batch = Array.from({ length: Math.min(reconnectEvery, documents - report.documents) }, () => {
        const document = next();
        return { document, way: wayFor(document, random()), account: oneOf(random, accounts) };
      });
      const workers = Array.from({ length: atOnce }, async () => {
        for (let one = batch.pop(); one; one = batch.pop()) {
          const other = one.account === 'acme' ? 'rival' : 'acme';
          await sendOne(one.document, one.way, one.account, owned[other].marks);
        }
      });
      await Promise.all(workers);
      log?.({ documents: report.documents, faults: report.faults.length });
    }
    report.faults.push(
      ...socket.closes.map((close) => ({ fault: `closed: ${close}`, transport: 'WebSocket', body: '' })),
    );
    const alive = await fetch(`${url}/readyz`);
    report.lived = alive.status === 200;
  } finally {
    socket.stop();
    await router.close();
    const code = await product.stop();
    report.lived &&= code === 0;
    report.errorLines = errorLines(product.output());
    report.seconds = Math.round((Date.now() - startedAt) / 1_000);
    await product.remove();
  }
  return report;
}

function wayFor({ kind, query, variables }: RandomDocument, dice: number): string {
  if (dice < 0.15) return 'server-sent events';
  if (dice < 0.4) return 'WebSocket';
  if (dice < 0.5) return 'callbacks';
  // An address is no longer than a server's headers may be.
  if (dice < 0.55 && kind === 'query' && query.length + JSON.stringify(variables).length < 2_000)
    return 'GET';
  return 'HTTP';
}

interface Owned {
  connections: string[];
  cursors: string[];
  /** What nobody else may be told. */
  marks: string[];
}

/** Connects what is not connected, and says what there is. */
async function populate(product: Product): Promise<Record<(typeof accounts)[number], Owned>> {
  const owned = async (account: (typeof accounts)[number]): Promise<Owned> => {
    const ask = (query: string) => product.graphql(query, {}, { 'x-account-id': account });
    const realm: Record<string, string> = account === 'rival' ? { realmId: otherRealmId } : {};
    for (const [integrationId, fields] of [
      ['quickbooks', realm],
      ['slack', {}],
    ] as const) {
      const { data } = await ask(
        `mutation { connect(input: { integrationId: "${integrationId}" }) { authorizationUrl } }`,
      );
      const start = data.connect.authorizationUrl as string | null;
      if (start === null) continue;
      const back = new URL(await consent(start, fields, /connect|allow/i));
      await visit(`${product.url}${back.pathname}${back.search}`);
    }
    const { data } = await ask('{ connections { id events(first: 5) { nodes { cursor id } } } }');
    const connections = data.connections as {
      id: string;
      events: { nodes: { cursor: string; id: string }[] };
    }[];
    const ids = connections.map(({ id }) => id);
    const events = connections.flatMap((one) => one.events.nodes);
    return {
      connections: ids.slice(0, 8),
      cursors: events.map(({ cursor }) => cursor).slice(0, 8),
      marks: [...ids, ...events.map(({ id }) => id)],
    };
  };
  return { acme: await owned('acme'), rival: await owned('rival') };
}

function knownFrom(owned: Record<string, Owned>, url: string): Known {
  const all = Object.values(owned);
  return {
    connections: [
      ...all.flatMap(({ connections }) => [...connections, ...connections.map((id) => id.toUpperCase())]),
      '00000000-0000-4000-8000-000000000000',
      'not-a-uuid',
    ],
    accounts: [...accounts, 'nobody'],
    integrations: ['quickbooks', 'quickbooks', 'slack', 'mycarrierpackets', 'nothing'],
    resources: ['Invoice', 'Invoice', 'Customer', 'Account', 'Channel', 'User', 'Carrier', 'Nothing'],
    cursors: all.flatMap(({ cursors }) => cursors),
    returnTo: `${url}/done`,
  };
}
