import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { faultRule, type Faults } from './faults.ts';
import { kindNames, kindOf } from './quickbooks/entities.ts';
import { QuickBooksFault } from './quickbooks/errors.ts';
import type { Fields } from './quickbooks/fields.ts';
import { write } from './quickbooks/operations.ts';
import type { QuickBooksSandbox } from './quickbooks/quickbooks.ts';
import { quickBooksSettings } from './quickbooks/settings.ts';
import type { RequestLog } from './requestLog.ts';

export interface AdminOptions {
  requests: RequestLog;
  faults: Faults;
  quickbooks: QuickBooksSandbox;
  /** By integration id: routes of the other providers, below it. */
  others?: Readonly<Record<string, (app: FastifyInstance) => void>>;
}

const realm = z.strictObject({ realmId: z.string() });
const recordChange = z.strictObject({
  realmId: z.string(),
  operation: z.enum(['create', 'update', 'delete', 'void']),
  entity: z.enum(kindNames),
  record: z.record(z.string(), z.unknown()),
});

/** What a route's handler throws for input that cannot be used. */
export class BadInput extends Error {
  override readonly name = 'BadInput';
}

/** `/_admin`: how tests and developers steer the sandbox. Bad input is a 400 whose `error` names what is wrong. */
export function adminRoutes(
  app: FastifyInstance,
  { requests, faults, quickbooks, others = {} }: AdminOptions,
): void {
  app.setErrorHandler((error, _request, reply) => {
    if (error instanceof BadInput) return reply.code(400).send({ error: error.message });
    throw error;
  });
  for (const [id, routes] of Object.entries(others)) {
    void app.register(async (scope) => routes(scope), { prefix: `/${id}` });
  }
  const companyOf = (realmId: string) => {
    const company = quickbooks.findCompany(realmId);
    if (!company) throw new BadInput(`realmId: no company ${realmId}`);
    return company;
  };

  app.get('/requests', () => ({ requests: requests.list() }));
  app.delete('/requests', (_request, reply) => {
    requests.clear();
    return reply.code(204).send();
  });

  app.get('/faults', () => ({ faults: faults.list() }));
  app.post('/faults', (request, reply) => {
    faults.add(read(request, faultRule));
    return reply.code(201).send({ faults: faults.list() });
  });
  app.delete('/faults', (_request, reply) => {
    faults.clear();
    return reply.code(204).send();
  });

  app.get('/settings', () => quickbooks.settings());
  app.put('/settings', (request) => {
    // What is not named stays as it is.
    const changed = read(request, z.record(z.string(), z.unknown()));
    quickbooks.applySettings(check({ ...quickbooks.settings(), ...changed }, quickBooksSettings));
    return quickbooks.settings();
  });
  app.delete('/settings', () => {
    quickbooks.applySettings(quickBooksSettings.parse({}));
    return quickbooks.settings();
  });

  app.get('/grants', () => ({
    grants: quickbooks.grants.list().map(({ id, realmId, scope, consentedAt, endedBy }) => ({
      id,
      realmId,
      scope,
      consentedAt: new Date(consentedAt).toISOString(),
      endedBy,
    })),
  }));
  app.post('/grants/revoke', (request) => {
    const { realmId } = read(request, realm);
    return { revoked: quickbooks.grants.disconnect(companyOf(realmId).realmId) };
  });
  app.post('/access-tokens/expire', (request) => {
    const { realmId } = read(request, realm.partial());
    return { expired: quickbooks.grants.expireAccessTokens(realmId && companyOf(realmId).realmId) };
  });

  /** A change as if made by a person in QuickBooks: an update is sparse and needs no SyncToken. */
  app.post('/records', (request) => {
    const { realmId, operation, entity, record } = read(request, recordChange);
    const company = companyOf(realmId);
    const kind = kindOf(entity)!;
    try {
      if (operation === 'create') return write(company, kind, record, 'create');
      const id = record['Id'];
      if (typeof id !== 'string') throw new BadInput('record.Id: a string is needed');
      const { SyncToken } = company.get(kind, id);
      return write(company, kind, { ...(record as Fields), Id: id, SyncToken, sparse: true }, operation);
    } catch (error) {
      if (error instanceof QuickBooksFault) throw new BadInput(`record: ${error.error.Detail}`);
      throw error;
    }
  });
}

/** The JSON body. */
export function read<T>(request: FastifyRequest, shape: z.ZodType<T>): T {
  // A page of some web site can post a form or plain text to this port, but not this type.
  if (!(request.headers['content-type'] ?? '').startsWith('application/json')) {
    throw new BadInput('content-type: application/json is needed');
  }
  let body: unknown;
  try {
    body = JSON.parse(typeof request.body === 'string' ? request.body : '');
  } catch {
    throw new BadInput('body: not JSON');
  }
  return check(body, shape);
}

export function check<T>(value: unknown, shape: z.ZodType<T>): T {
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`);
  throw new BadInput(problems.join('; '));
}
