/** A server of its own process that takes webhooks in one of three ways; told so, and where the database is, by its arguments. */
import fastify, { type FastifyInstance } from 'fastify';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { systemClock as clock } from '../../src/clock.ts';
import { openDatabase } from '../../src/db/database.ts';
import { createLog } from '../../src/log.ts';
import { createCatalog } from '../../src/providers/catalog.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';
import { intuitScheme } from '../../src/providers/signatures.ts';
import { insertDeliveries } from '../../src/webhooks/deliveryRows.ts';
import { createReceiver } from '../../src/webhooks/receive.ts';
import { verify } from '../../src/webhooks/verify.ts';

export const secret = 'the-verifier-token';
export const ways = ['ours', 'one insert for each', 'HMAC only'] as const;
export type Way = (typeof ways)[number];

async function serve(way: Way, databaseUrl: string): Promise<FastifyInstance> {
  const { named: db } = await openDatabase({ databaseUrl, dataDir: '', poolSize: 10 });
  const receiver = createReceiver({
    db,
    catalog: createCatalog([
      {
        provider: quickbooks,
        endpoints: quickbooks.endpoints,
        limits: quickbooks.limits,
        webhookSecrets: [secret],
      },
    ]),
    secrets: {
      find: () => Promise.resolve(undefined),
      set: () => Promise.resolve(),
      erase: () => Promise.resolve(),
    },
    clock,
    log: createLog('silent'),
  });
  const app = fastify({ bodyLimit: 1024 * 1024 });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.post('/webhooks/quickbooks', async (request, reply) => {
    const headers = request.headers as Record<string, string>;
    const body = request.body as Buffer;
    if (way === 'ours') {
      const answer = await receiver.receive({ integrationId: 'quickbooks', headers, body });
      return reply.code(answer.status).send(answer.body);
    }
    if (!verify(intuitScheme, [secret], { headers, body }, clock.now()).verified)
      return reply.code(401).send({});
    if (way === 'HMAC only') return reply.send({});
    const { notices } = quickbooks.webhook!.parse(body, quickbooks.resources);
    await insertDeliveries(
      db,
      notices.flatMap((notice) =>
        notice.kind === 'record'
          ? [
              {
                ...{ integrationId: 'quickbooks', accountExternalId: notice.account, recipient: null },
                ...{ eventId: notice.eventId, receivedAt: new Date(clock.now()) },
                notice: {
                  kind: 'record' as const,
                  occurredAt: notice.occurredAt?.toISOString() ?? null,
                  ...{ resource: notice.resource, externalId: notice.externalId, change: notice.change },
                },
              },
            ]
          : [],
      ),
    );
    return reply.send({});
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  return app;
}

if (process.send && process.argv[1] === fileURLToPath(import.meta.url)) {
  const [way, databaseUrl] = process.argv.slice(2) as [Way, string];
  const app = await serve(way, databaseUrl);
  process.on('disconnect', () => process.exit(0));
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send!({ cpuMs: (user + system) / 1_000 });
  });
  process.send({ port: (app.server.address() as AddressInfo).port });
}
