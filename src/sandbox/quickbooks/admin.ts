import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { BadInput, read } from '../admin.ts';
import type { QuickBooksSandbox } from './quickbooks.ts';
import { deliveryRule } from './webhooks.ts';

/** `/_admin/quickbooks`: its webhooks, and what happens in its companies. Older routes stand in `/_admin` itself. */
export function quickBooksAdmin(app: FastifyInstance, quickbooks: QuickBooksSandbox): void {
  const { webhooks } = quickbooks;

  app.get('/webhook-endpoint', () => ({ url: webhooks.endpoint() }));
  app.put('/webhook-endpoint', (request) => {
    const { url } = read(request, z.strictObject({ url: z.url({ protocol: /^https?$/ }).nullable() }));
    webhooks.setEndpoint(url);
    return { url };
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
  /** So many random changes, in one company or in any that is connected. */
  app.post('/activity', (request) => {
    const shape = z.strictObject({
      realmId: z.string().optional(),
      count: z.int().min(1).max(1000).default(1),
    });
    const { realmId, count } = read(request, shape);
    if (realmId !== undefined && !quickbooks.findCompany(realmId))
      throw new BadInput(`realmId: no company ${realmId}`);
    return { changed: Array.from({ length: count }, () => quickbooks.happen(realmId)) };
  });
}
