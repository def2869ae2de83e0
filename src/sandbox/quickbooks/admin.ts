import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { BadInput, read } from '../admin.ts';
import { kindNames, kindOf } from './entities.ts';
import { QuickBooksFault } from './errors.ts';
import type { QuickBooksSandbox } from './quickbooks.ts';
import { deliveryRule } from './webhooks.ts';

const endpoint = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .nullable()
    .optional(),
  /** What the notes are signed with; told to nobody again. */
  verifierToken: z.string().min(1).optional(),
});
const activity = z.strictObject({
  /** Default: any that is connected. */
  realmId: z.string().optional(),
  count: z.int().min(1).max(1000).default(1),
  entity: z.enum(kindNames).optional(),
  operation: z.enum(['create', 'update', 'delete']).optional(),
  seed: z.int().optional(),
});
const email = z.strictObject({
  realmId: z.string(),
  entity: z.enum(kindNames),
  id: z.string(),
  /** Default: the document's own address. */
  sendTo: z.string().optional(),
});
const merge = z.strictObject({
  realmId: z.string(),
  entity: z.enum(kindNames),
  /** Is no more. */
  id: z.string(),
  /** Stays, and is named wherever the other was. */
  into: z.string(),
});

/** `/_admin/quickbooks`: its webhooks, and what happens in its companies. Older routes stand in `/_admin` itself. */
export function quickBooksAdmin(app: FastifyInstance, quickbooks: QuickBooksSandbox): void {
  const { webhooks } = quickbooks;
  const companyOf = (realmId: string) => {
    const company = quickbooks.findCompany(realmId);
    if (!company) throw new BadInput(`realmId: no company ${realmId}`);
    return company;
  };

  app.get('/webhook-endpoint', () => ({ url: webhooks.endpoint().url }));
  app.put('/webhook-endpoint', (request) => {
    const { url, verifierToken } = read(request, endpoint);
    const before = webhooks.endpoint();
    webhooks.setEndpoint({
      url: url === undefined ? before.url : url,
      verifierToken: verifierToken ?? before.verifierToken,
    });
    return { url: webhooks.endpoint().url };
  });
  app.get('/deliveries', () => ({ deliveries: webhooks.list() }));
  app.delete('/deliveries', (_request, reply) => {
    webhooks.clear();
    return reply.code(204).send();
  });
  app.get('/delivery-rules', () => ({ rules: webhooks.rules() }));
  app.post('/delivery-rules', (request, reply) => {
    webhooks.addRule(read(request, deliveryRule));
    return reply.code(201).send({ rules: webhooks.rules() });
  });
  app.delete('/delivery-rules', (_request, reply) => {
    webhooks.clearRules();
    return reply.code(204).send();
  });

  /** So many random changes, of one kind and operation or of any. */
  app.post('/activity', (request) => {
    const { realmId, count, entity, operation, seed } = read(request, activity);
    if (realmId !== undefined) companyOf(realmId);
    const wanted = {
      ...(realmId !== undefined && { realmId }),
      ...(entity !== undefined && { entity }),
      ...(operation !== undefined && { operation }),
      ...(seed !== undefined && { seed }),
    };
    return refusing('activity', () => ({ changed: quickbooks.happen({ count, ...wanted }) }));
  });
  /** As a person in QuickBooks merges two customers, vendors, items or accounts. */
  app.post('/merges', (request) => {
    const { realmId, entity, id, into } = read(request, merge);
    const kind = kindOf(entity)!;
    return refusing('merge', () => ({ [kind.name]: companyOf(realmId).merge(kind, id, into) }));
  });
  /** As a person in QuickBooks sends a document to the customer: nothing is mailed. */
  app.post('/emails', (request) => {
    const { realmId, entity, id, sendTo } = read(request, email);
    const kind = kindOf(entity)!;
    return refusing('email', () => ({ [kind.name]: companyOf(realmId).email(kind, id, sendTo) }));
  });
}

function refusing<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof QuickBooksFault) throw new BadInput(`${name}: ${error.error.Detail}`);
    throw error;
  }
}
