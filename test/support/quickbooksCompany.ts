/** A connected company's records, changed by somebody else: through the emulated API, with the connection's own token. */
import type { Connection } from '../../src/connections/connection.ts';
import type { TestCore } from './core.ts';

export interface QuickBooksCompany {
  create(fields: Record<string, unknown>): Promise<string>;
  update(id: string, fields: Record<string, unknown>): Promise<void>;
  /** Only transactions can be deleted. */
  remove(id: string): Promise<void>;
  get(id: string): Promise<Record<string, unknown> | undefined>;
}

export function quickBooksCompany(
  product: TestCore,
  connection: Connection,
  entity: string,
): QuickBooksCompany {
  const path = entity.toLowerCase();
  const ask = async (method: string, rest: string, body?: unknown) => {
    const { value } = await product.tokens.accessToken(connection);
    const answer = await fetch(
      `${product.sandbox.quickbooks.apiUrl}/v3/company/${connection.externalId}/${path}${rest}`,
      {
        method,
        headers: {
          authorization: `Bearer ${value}`,
          accept: 'application/json',
          'content-type': 'application/json',
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      },
    );
    const text = await answer.text();
    if (!answer.ok && method === 'POST') throw new Error(`${answer.status}: ${text}`);
    return answer.ok ? (JSON.parse(text) as Record<string, Record<string, unknown>>)[entity] : undefined;
  };
  const get = (id: string) => ask('GET', `/${id}`);
  return {
    create: async (fields) => String((await ask('POST', '', fields))!.Id),
    async update(id, fields) {
      const { SyncToken } = (await get(id))!;
      await ask('POST', '', { Id: id, SyncToken, sparse: true, ...fields });
    },
    async remove(id) {
      const { SyncToken } = (await get(id))!;
      await ask('POST', '?operation=delete', { Id: id, SyncToken });
    },
    get,
  };
}
