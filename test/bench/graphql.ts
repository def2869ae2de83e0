import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Agent, request } from 'undici';
import type { Bench } from './benchmark.ts';
import { operations, wayNames, type Way } from './graphqlOperations.ts';
import { forkNode, inOwnProcess } from './process.ts';
import { alternate } from './rounds.ts';

const senders = 32;

export const graphql: Bench = {
  name: 'graphql',
  title: 'GraphQL over HTTP: 50 connections, 100 entities, { __typename }',
  usesDatabase: false,
  async run({ seconds, report }) {
    const found = await inOwnProcess(import.meta.url, askAll, { forMs: (Math.min(seconds, 10) * 1_000) / 5 });
    for (const operation of Object.keys(operations) as (keyof typeof operations)[]) {
      const of = (way: Way) => found[way][operation];
      for (const way of wayNames.slice(1))
        report({
          ...{ metric: operation, value: of('ours'), unit: '/s' },
          reference: { name: way, value: of(way) },
        });
      const share = (way: Way, atLeast?: number) =>
        report({
          ...{ metric: `${operation}, ours by ${way}`, value: of('ours') / of(way), unit: 'ratio' },
          ...(atLeast !== undefined && { goal: { atLeast } }),
        });
      share('bare graphql-js', operation === 'list' ? 0.8 : undefined);
      share('Apollo standalone', operation === 'list' ? 2 : undefined);
    }
  },
};

type Figures = Record<keyof typeof operations, number>;

/** Asks from a process of its own. */
export async function askAll({ forMs }: { forMs: number }): Promise<Record<Way, Figures>> {
  const servers = await Promise.all(wayNames.map(async (way) => [way, await openServer(way)] as const));
  const sides = Object.fromEntries(
    servers.map(([way, server]) => [
      way,
      async () => ({
        list: await server.perSecond('list', forMs),
        entities: await server.perSecond('entities', forMs),
        typename: await server.perSecond('typename', forMs),
      }),
    ]),
  ) as Record<Way, () => Promise<Figures>>;
  try {
    return await alternate(sides, { rounds: 5 });
  } finally {
    for (const [, server] of servers) server.close();
  }
}

async function openServer(way: Way) {
  const child = forkNode(fileURLToPath(new URL('graphqlServer.ts', import.meta.url)), [way]);
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const dispatcher = new Agent({ connections: senders, pipelining: 1 });
  const url = `http://127.0.0.1:${port}/graphql`;
  const ask = async (body: string): Promise<void> => {
    const answer = await request(url, {
      ...{ dispatcher, method: 'POST', body, headers: { 'content-type': 'application/json' } },
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 200 || text.includes('"errors"'))
      throw new Error(`${way} answered ${answer.statusCode}: ${text.slice(0, 300)}`);
  };
  return {
    async perSecond(operation: keyof typeof operations, forMs: number): Promise<number> {
      const body = JSON.stringify(operations[operation]);
      let count = 0;
      const startedAt = performance.now();
      const sender = async () => {
        for (; performance.now() - startedAt < forMs; count++) await ask(body);
      };
      await Promise.all(Array.from({ length: senders }, sender));
      return count / ((performance.now() - startedAt) / 1_000);
    },
    close: () => child.disconnect(),
  };
}
