import { randomUUID } from 'node:crypto';
import { intuitScheme } from '../../../src/providers/signatures.ts';
import { sign } from '../../../src/webhooks/verify.ts';
import { cloudEvents } from '../cloudEvents.ts';
import { graphql, type Target, type Told, type Wire } from './wire.ts';

/** An account with one connection to QuickBooks, and what its good traffic says who it is with. */
export interface Customer {
  accountId: string;
  headers: Record<string, string>;
  connectionId: string;
  realm: string;
  /** Ids of invoices that its company has. */
  invoices: string[];
}

export type Kind = 'status' | 'entities' | 'webhook' | 'record';

/** Good requests, each of whose answers is looked into. */
export interface Sender {
  send(kind: Kind): void;
  /** What is under way has ended. */
  idle(): Promise<void>;
  /** By phase and kind, in milliseconds. */
  latencies: Map<string, number[]>;
  /** `/readyz` of one that goes away is not asked here: what failed of what was asked, and how often. */
  failures: {
    refused: number;
    cut: Record<string, number>;
    answers: Record<string, number>;
    samples: string[];
  };
  /** Ids of webhook events that were answered with 200. */
  acknowledged: string[];
  /** Records that came into being at the provider, by the ids that it gave them; acknowledged all of them. */
  created: { accountId: string; externalId: string }[];
  /** When the news of a record was first sent. */
  sentAt: Map<string, number>;
}

const statusQuery = `{ connections { id status externalId problem { code }
  syncStatuses { resource state recordCount } } }`;
const entitiesQuery = `query ($of: [_Any!]!) { _entities(representations: $of) { ... on Connection { id status }
  ... on ExternalRecord { id externalId payload stale } } }`;

export function createSender(deps: {
  wire: Wire;
  customers: readonly Customer[];
  sandboxUrl: string;
  verifierToken: string;
  /** Undefined: nobody is left to be asked. */
  pick: () => Target | undefined;
  refused: (target: Target) => void;
  phase: () => string;
  random: () => number;
}): Sender {
  const { wire, customers, pick, random } = deps;
  const failures: Sender['failures'] = { refused: 0, cut: {}, answers: {}, samples: [] };
  const latencies: Sender['latencies'] = new Map();
  const acknowledged: string[] = [];
  const created: Sender['created'] = [];
  const sentAt: Sender['sentAt'] = new Map();
  const running = new Set<Promise<unknown>>();
  /** Unlike those of any other sender. */
  const name = randomUUID();
  let count = 0;

  /** Asked of one; whether the answer is good. */
  const judge = (kind: Kind, target: Target, told: Told, isGood: (body: string) => boolean): boolean => {
    const fail = (of: Record<string, number>, what: string, sample: string) => {
      of[what] = (of[what] ?? 0) + 1;
      if (failures.samples.length < 20)
        failures.samples.push(`${kind} in ${deps.phase()}: ${sample.slice(0, 300)}`);
      return false;
    };
    if ('failed' in told) {
      if (told.failed === 'cut') return fail(failures.cut, told.why, told.why);
      failures.refused++;
      deps.refused(target);
      return false;
    }
    if (told.status !== 200)
      return fail(failures.answers, `${kind} ${told.status}`, `${told.status} ${told.body}`);
    if (!isGood(told.body)) return fail(failures.answers, `${kind} wrong`, told.body);
    const key = `${deps.phase()} ${kind}`;
    const own = latencies.get(key);
    if (own) own.push(told.tookMs);
    else latencies.set(key, [told.tookMs]);
    return true;
  };

  const query = async (
    kind: Kind,
    text: string,
    variables: object,
    customer: Customer,
    // oxlint-disable-next-line typescript/no-explicit-any -- an answer's shape is what is looked into
    isGood: (data: any) => boolean,
  ) => {
    const target = pick();
    if (!target) return;
    const told = await wire.ask(target, graphql(text, variables, customer.headers));
    judge(kind, target, told, (body) => {
      const { data, errors } = JSON.parse(body) as { data: unknown; errors?: unknown };
      return errors === undefined && isGood(data);
    });
  };

  /** As a provider does: again, until it is told 200. */
  const deliver = async (
    customer: Customer,
    event: { id: string; entity: string; externalId: string; operation?: string },
  ) => {
    const time = new Date().toISOString();
    const body = Buffer.from(JSON.stringify(cloudEvents([{ ...event, time, realm: customer.realm }])));
    const headers = { 'content-type': 'application/json', ...sign(intuitScheme, deps.verifierToken, body) };
    for (;;) {
      const target = pick();
      if (!target) return false;
      const told = await wire.ask(target, { path: '/webhooks/quickbooks', headers, body });
      if (judge('webhook', target, told, () => true)) break;
      await new Promise((resolve) => setTimeout(resolve, 50 + random() * 100));
    }
    acknowledged.push(event.id);
    return true;
  };

  const kinds: Record<Kind, (customer: Customer) => Promise<unknown>> = {
    status: (customer) =>
      query(
        'status',
        statusQuery,
        {},
        customer,
        ({ connections: [own, ...others] }) =>
          own.id === customer.connectionId &&
          own.status === 'ACTIVE' &&
          own.externalId === customer.realm &&
          own.problem === null &&
          own.syncStatuses.length > 5 &&
          others.length === 0,
      ),
    entities(customer) {
      const ids = Array.from(
        { length: 5 },
        () => customer.invoices[Math.floor(random() * customer.invoices.length)]!,
      );
      const records = ids.map((id) => `${customer.connectionId}/Invoice/${id}`);
      const of = [
        { __typename: 'Connection', id: customer.connectionId },
        ...records.map((id) => ({ __typename: 'ExternalRecord', id })),
      ];
      return query(
        'entities',
        entitiesQuery,
        { of },
        customer,
        ({ _entities: [connection, ...found] }) =>
          connection.id === customer.connectionId &&
          found.length === ids.length &&
          found.every(
            (one: { id: string; payload: { Id: string }; stale: boolean }, i: number) =>
              one.id === records[i] && one.payload.Id === ids[i] && !one.stale,
          ),
      );
    },
    webhook(customer) {
      const externalId = customer.invoices[count % customer.invoices.length]!;
      return deliver(customer, { id: `${name} ${count++}`, entity: 'invoice', externalId });
    },
    async record(customer) {
      const answer = await fetch(`${deps.sandboxUrl}/_admin/records`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          ...{ realmId: customer.realm, operation: 'create', entity: 'Vendor' },
          record: { DisplayName: `Carrier ${name} ${count++}` },
        }),
      });
      const { Vendor } = (await answer.json()) as { Vendor: { Id: string } };
      sentAt.set(`${customer.accountId} ${Vendor.Id}`, performance.now());
      const event = {
        id: `${name} ${count++}`,
        entity: 'vendor',
        externalId: Vendor.Id,
        operation: 'created',
      };
      if (await deliver(customer, event))
        created.push({ accountId: customer.accountId, externalId: Vendor.Id });
    },
  };

  return {
    ...{ latencies, failures, acknowledged, created, sentAt },
    send(kind) {
      const work = kinds[kind](customers[Math.floor(random() * customers.length)]!)
        .catch((error: unknown) => void failures.samples.push(`${kind}: ${String(error)}`))
        .finally(() => running.delete(work));
      running.add(work);
    },
    async idle() {
      while (running.size > 0) await Promise.all(running);
    },
  };
}
