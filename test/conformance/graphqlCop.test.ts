import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  buildSchema,
  executeSync,
  MaxIntrospectionDepthRule,
  NoFragmentCyclesRule,
  parse,
  specifiedRules,
  validate,
  type ValidationRule,
} from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bearer, openEdge, type Edge } from '../subscriptions/support.ts';
import { embeddedDatabase } from '../support/databases.ts';

interface Said {
  status: number;
  text: string;
  json: any; // oxlint-disable-line typescript/no-explicit-any -- whatever a server answers
}
type Send = (init: RequestInit, path?: string) => Promise<Said>;

const asJson = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});
const ask = (send: Send, query: string) => send(asJson({ query }));
const times = (count: number, part: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => part(i)).join(' ');
const nested = (depth: number): string => (depth === 0 ? 'name' : `fields { type { ${nested(depth - 1)} } }`);

/**
 * The questions of graphql-cop 1.x (github.com/dolevf/graphql-cop), asked anew: true where it would report a finding. The
 * severities are its own.
 */
const probes: [title: string, severity: string, finds: (send: Send) => Promise<boolean>][] = [
  [
    'a hundred and one aliases',
    'HIGH',
    async (send) =>
      (await ask(send, `{ ${times(101, (i) => `a${i}: __typename`)} }`)).json?.data?.a100 !== undefined,
  ],
  [
    'an array of operations',
    'HIGH',
    async (send) => {
      const { json } = await send(asJson(Array.from({ length: 11 }, () => ({ query: '{ __typename }' }))));
      return Array.isArray(json) && json.length >= 10;
    },
  ],
  [
    'fragments that contain each other, or introspection that goes round',
    'HIGH',
    async (send) => {
      const round =
        '{ __schema { ...A } } fragment A on __Schema { __typename ...B } fragment B on __Schema { ...A }';
      const deep = `{ __schema { types { ${nested(5)} } } }`;
      const answers = [(await ask(send, round)).json, (await ask(send, deep)).json];
      return answers[0]?.errors === undefined || answers[1]?.data?.__schema?.types.length > 25;
    },
  ],
  [
    'ten directives that there are not, each with an error of its own',
    'HIGH',
    async (send) => (await ask(send, `{ __typename ${times(10, () => '@aa')} }`)).json?.errors?.length === 10,
  ],
  [
    'a field five hundred times',
    'HIGH',
    async (send) =>
      (await ask(send, `{ ${times(500, () => '__typename')} }`)).json?.data?.__typename !== undefined,
  ],
  [
    'suggestions of names',
    'LOW',
    async (send) => {
      const answers = [
        await ask(send, '{ __schema { directive } }'),
        await ask(send, '{ connectionss { id } }'),
      ];
      return answers.some(({ text }) => text.includes('Did you mean'));
    },
  ],
  [
    'a mutation by GET',
    'MEDIUM',
    async (send) =>
      (await send({}, `?query=${encodeURIComponent('mutation { __typename }')}`)).json?.data?.__typename !==
      undefined,
  ],
  [
    'a query by GET, as a foreign page sends it',
    'MEDIUM',
    async (send) =>
      (await send({}, `?query=${encodeURIComponent('{ __typename }')}`)).json?.data?.__typename !== undefined,
  ],
  [
    'a query in a form, as a foreign page sends it',
    'MEDIUM',
    async (send) => {
      const form = { method: 'POST', body: new URLSearchParams({ query: '{ __typename }' }) };
      const inAddress = await send({ method: 'POST' }, `?query=${encodeURIComponent('{ __typename }')}`);
      return [await send(form), inAddress].some(({ json }) => json?.data?.__typename !== undefined);
    },
  ],
  [
    'a console',
    'LOW',
    async (send) => {
      const init = { headers: { accept: 'text/html' } };
      const pages = await Promise.all(
        ['', '/../graphiql', '/../playground', '/../console'].map((path) => send(init, path)),
      );
      return pages.some(({ text }) => /graphiql|graphql.playground|apollo.*sandbox/i.test(text));
    },
  ],
  [
    'introspection',
    'HIGH',
    async (send) =>
      (await ask(send, '{ __schema { types { name fields { name } } } }')).json?.data?.__schema !== undefined,
  ],
  [
    'traces',
    'INFO',
    async (send) => {
      const query = { query: '{ __typename }' };
      const plain = await send(asJson(query));
      const asked = await send({
        ...asJson(query),
        headers: { 'content-type': 'application/json', 'apollo-federation-include-trace': 'ftv1' },
      });
      return [plain, asked].some(
        ({ json, text }) => json?.extensions !== undefined || /stacktrace/i.test(text),
      );
    },
  ],
  [
    'errors with what was thrown',
    'INFO',
    async (send) => {
      const { json, text } = await ask(send, 'qwerty cop { abc }');
      return json?.errors?.[0]?.extensions?.exception !== undefined || /stacktrace|node_modules/i.test(text);
    },
  ],
];

const sender =
  (address: string, headers: Record<string, string> = {}): Send =>
  async (init, path = '') => {
    const response = await fetch(address + path, {
      ...init,
      headers: { ...headers, ...(init.headers as object) },
    });
    const text = await response.text();
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return { status: response.status, text, json };
  };

describe("graphql-cop's probes of production", () => {
  let edge: Edge;
  let send: Send;
  beforeAll(async () => {
    edge = await openEdge(embeddedDatabase, { production: true, routerSecrets: ['proof'] });
    const headers = { authorization: await bearer('acme'), 'x-router-secret': 'proof' };
    send = sender(`${edge.url}/graphql`, headers);
  });
  afterAll(() => edge?.close());

  it.each(probes)('find nothing: %s (%s)', async (_title, _severity, finds) => {
    // Otherwise nothing at all would be found.
    expect((await ask(send, '{ __typename }')).json).toEqual({ data: { __typename: 'Query' } });
    expect(await finds(send)).toBe(false);
  });
});

/** A server that takes whatever it is sent, wherever it stands, and tells all that it knows. */
async function carelessServer(): Promise<{ url: string; close(): Promise<void> }> {
  const schema = buildSchema(
    `${times(30, (i) => `type T${i} { f: ID }`)} type Query { connections: [ID] } type Mutation { m: ID }`,
  );
  const guards: readonly ValidationRule[] = [MaxIntrospectionDepthRule, NoFragmentCyclesRule];
  const rules = specifiedRules.filter((rule) => !guards.includes(rule));
  const answer = ({ query }: { query: string }) => {
    try {
      const document = parse(query);
      const errors = validate(schema, document, rules);
      if (errors.length > 0) return { errors };
      return { ...executeSync({ schema, document }), extensions: { tracing: {} } };
    } catch (error) {
      const { message, stack } = error as Error;
      return { errors: [{ message, extensions: { exception: { stack } } }] };
    }
  };
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      if (request.headers.accept === 'text/html') return response.end('<title>GraphiQL</title>');
      const address = new URL(request.url!, 'http://127.0.0.1');
      const isForm = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded');
      const inText = (isForm ? new URLSearchParams(body) : address.searchParams).get('query');
      const asked = (inText === null ? JSON.parse(body) : { query: inText }) as
        { query: string } | { query: string }[];
      response.end(JSON.stringify(Array.isArray(asked) ? asked.map(answer) : answer(asked)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

describe("graphql-cop's probes of a server that guards nothing", () => {
  let careless: Awaited<ReturnType<typeof carelessServer>>;
  beforeAll(async () => {
    careless = await carelessServer();
  });
  afterAll(() => careless?.close());

  it.each(probes)('find it: %s (%s)', async (_title, _severity, finds) => {
    expect(await finds(sender(careless.url))).toBe(true);
  });
});
