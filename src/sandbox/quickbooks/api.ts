import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Company } from './company.ts';
import { emptyKindOf, kindOf } from './entities.ts';
import { faultEnvelope, faults, QuickBooksFault } from './errors.ts';
import type { Fields } from './fields.ts';
import type { Grants } from './grants.ts';
import { Limits } from './limits.ts';
import { changesSince, runBatch, runQuery, write } from './operations.ts';
import type { QuickBooksSettings } from './settings.ts';
import { answerTime } from './time.ts';
import { xmlAnswer, xmlFault } from './xml.ts';

export interface ApiOptions {
  grants: Grants;
  limits: Limits;
  settings: () => QuickBooksSettings;
  /** The provider's time, skew included. */
  now: () => number;
  findCompany: (realmId: string) => Company | undefined;
  log: (line: object) => void;
}

const accounting = 'com.intuit.quickbooks.accounting';
const jsonType = 'application/json;charset=UTF-8';
const xmlType = 'application/xml;charset=UTF-8';

/** The accounting API, below `/v3/company/:realmId`. The order is: limits, injected faults, token, work. */
export function apiRoutes(app: FastifyInstance, options: ApiOptions): void {
  const { settings, now } = options;
  /** Answers of writes that carried a request id, by company and id. */
  const answered = new Map<string, object>();
  let throttled = 0;

  app.addHook('onRequest', async (request, reply) => {
    const isBatch = /\/batch(\?|$)/.test(request.url);
    reply.raw.once('close', options.limits.admit(realmIdOf(request), isBatch));
  });
  app.addHook('preHandler', async (request) => {
    authorize(request, options);
  });
  app.setErrorHandler((error, request, reply) => {
    if (!(error instanceof QuickBooksFault)) options.log({ event: 'sandbox.bug', message: String(error) });
    const fault = error instanceof QuickBooksFault ? error : faults.system();
    const isThrottle = fault.error.code === '3001';
    if (isThrottle) throttled += 1;
    const { throttleFormat, retryAfterSeconds, authenticationFault } = settings();
    const format = !isThrottle || throttleFormat === 'json' ? 'as asked' : throttleFormat;
    const isXml = !wantsJson(request) || format === 'xml' || (format === 'alternate' && throttled % 2 === 1);
    if (isThrottle && retryAfterSeconds !== null) void reply.header('retry-after', String(retryAfterSeconds));
    void reply.code(fault.status).type(isXml ? xmlType : jsonType);
    return reply.send(
      isXml ? xmlFault(fault, now()) : JSON.stringify(faultEnvelope(fault, now(), authenticationFault)),
    );
  });
  const answer = (request: FastifyRequest, reply: FastifyReply, members: object) => {
    const body = { ...members, time: answerTime(now()) };
    const isJson = wantsJson(request);
    return reply.type(isJson ? jsonType : xmlType).send(isJson ? JSON.stringify(body) : xmlAnswer(body));
  };
  /** Does the work once per request id; a repeat gets the first answer, whatever it carries. */
  const once = (request: FastifyRequest, longest: number, work: () => object): object => {
    const requestId = queryOf(request).get('requestid');
    if (requestId === null) return work();
    if (requestId.length > longest)
      throw faults.badProperty(`requestid has at most ${longest} characters`, 'requestid');
    const key = `${realmIdOf(request)}/${requestId}`;
    const members = answered.get(key) ?? structuredClone(work());
    answered.set(key, members);
    return members;
  };
  const company = (request: FastifyRequest): Company => {
    const found = options.findCompany(realmIdOf(request));
    if (!found) throw faults.wrongCompany();
    return found;
  };

  app.get('/query', (request, reply) => {
    const text = queryOf(request).get('query');
    if (text === null) throw faults.missing('query');
    return answer(request, reply, runQuery(company(request), text, settings()));
  });
  app.post('/query', (request, reply) => {
    const type = (request.headers['content-type'] ?? '').split(';', 1)[0] ?? '';
    if (type !== 'application/text' && type !== 'text/plain') throw faults.contentType(type);
    return answer(request, reply, runQuery(company(request), bodyText(request), settings()));
  });
  app.get('/cdc', (request, reply) => {
    const query = queryOf(request);
    const entities = query.get('entities') ?? undefined;
    const since = query.get('changedSince') ?? undefined;
    return answer(request, reply, changesSince(company(request), entities, since, settings()));
  });
  app.post('/batch', (request, reply) => {
    const body = bodyFields(request);
    const items = body['BatchItemRequest'];
    options.limits.meter(Array.isArray(items) ? items.length : 1);
    const repeatable = queryOf(request).has('requestid');
    return answer(
      request,
      reply,
      once(request, 36, () => runBatch(company(request), body, settings(), repeatable)),
    );
  });
  app.get('/:entity/:id', (request, reply) => {
    const { entity = '', id = '' } = request.params as Record<string, string>;
    const kind = kindOf(entity);
    if (!kind) throw emptyKindOf(entity) ? faults.notFound() : faults.unsupported(entity);
    return answer(request, reply, { [kind.name]: company(request).get(kind, id) });
  });
  app.post('/:entity', (request, reply) => {
    const { entity = '' } = request.params as Record<string, string>;
    const kind = kindOf(entity);
    if (!kind) throw faults.unsupported(entity);
    const query = queryOf(request);
    // Payments are voided by an update that says so.
    const include = (query.get('include') ?? '').toLowerCase().split(',');
    const operation = include.includes('void') ? 'void' : (query.get('operation') ?? undefined);
    const options = { allowsDuplicateNumber: include.includes('allowduplicatedocnum') };
    const work = () => write(company(request), kind, bodyFields(request), operation, options);
    return answer(request, reply, once(request, 50, work));
  });
  app.post('/:entity/:id/send', (request, reply) => {
    const { entity = '', id = '' } = request.params as Record<string, string>;
    const kind = kindOf(entity);
    if (!kind) throw faults.unsupported(`send ${entity}`);
    const sendTo = queryOf(request).get('sendTo') ?? undefined;
    return answer(request, reply, { [kind.name]: company(request).email(kind, id, sendTo) });
  });
}

function authorize(request: FastifyRequest, { grants, settings }: ApiOptions): void {
  const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined || token.length < 20) throw faults.tokenMalformed();
  const grant = grants.authenticate(token);
  if (!grant) throw faults.tokenExpired(token);
  const realmId = realmIdOf(request);
  if (grant.endedBy || grant.realmId !== realmId || !grant.scope.split(' ').includes(accounting)) {
    throw faults.wrongCompany();
  }
  const condition = settings().companyConditions[realmId];
  if (condition === 'admin-lost-access') throw faults.adminLostAccess();
  if (condition === 'subscription-ended') throw faults.subscriptionEnded();
}

function realmIdOf(request: FastifyRequest): string {
  return (request.params as { realmId?: string }).realmId ?? '';
}

function queryOf(request: FastifyRequest): URLSearchParams {
  return new URL(request.url, 'http://localhost').searchParams;
}

/** Asking for anything, as most tools do by default, gives XML. */
function wantsJson(request: FastifyRequest): boolean {
  return (request.headers.accept ?? '').toLowerCase().includes('application/json');
}

function bodyText(request: FastifyRequest): string {
  return typeof request.body === 'string' ? request.body : '';
}

function bodyFields(request: FastifyRequest): Fields {
  let body: unknown;
  try {
    body = JSON.parse(bodyText(request));
  } catch {
    throw faults.badProperty('Unexpected character: the request body is not JSON');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw faults.badProperty('The request body is not an object');
  }
  return body as Fields;
}
