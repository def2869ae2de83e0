import { auditServer, type AuditResult } from 'graphql-http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bearer, openEdge, type Edge } from '../subscriptions/support.ts';
import { embeddedDatabase } from '../support/databases.ts';

/** What is not as the audits would have it, and why. docs/conformance.md says it at length. */
const explained = {
  // The drafts let a server that knows no older client answer so: the status says that nothing was executed.
  '572B': 'warn', // a document that does not parse: 400, not 200, for Accept: application/json
  FDE2: 'warn', // a document that is not valid: the same
  '7B9B': 'warn', // variables that do not fit: the same
  // A GET without a header that a foreign page cannot send is taken for one (CSRF).
  '5A70': 'notice',
  D6D5: 'notice',
  '6A70': 'notice',
} as const;

const audits = 61;

describe("graphql-http's audits of a server", () => {
  let edge: Edge;
  let authorization: string;
  beforeAll(async () => {
    edge = await openEdge(embeddedDatabase);
    authorization = await bearer('acme');
  });
  afterAll(() => edge?.close());

  const audited = async (more: Record<string, string> = {}) => {
    const results = await auditServer({
      url: `${edge.url}/graphql`,
      fetchFn: (url: string, init: RequestInit = {}) => {
        const headers = new Headers(init.headers);
        for (const [name, value] of Object.entries({ authorization, ...more })) headers.set(name, value);
        return fetch(url, { ...init, headers });
      },
    });
    for (const result of results) if ('response' in result) await result.response.body?.cancel();
    return results;
  };
  const shortfalls = (results: AuditResult[]) =>
    Object.fromEntries(results.filter(({ status }) => status !== 'ok').map(({ id, status }) => [id, status]));

  it('find no error, and no warning that is not explained', async () => {
    const results = await audited();
    expect(results).toHaveLength(audits);
    expect(shortfalls(results)).toEqual(explained);
  });

  it('find that a GET is answered which says that it is no simple request', async () => {
    const found = shortfalls(await audited({ 'apollo-require-preflight': 'true' }));
    expect(found).toEqual({ '572B': 'warn', FDE2: 'warn', '7B9B': 'warn' });
  });
});
