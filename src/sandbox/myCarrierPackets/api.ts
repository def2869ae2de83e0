import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError, errors } from './errors.ts';
import { formatFor } from './formats.ts';
import type { openLimits } from './limits.ts';
import type { Call } from './operation.ts';
import { findOperation } from './operations.ts';
import { missingParameters, queryOf, readParameters } from './parameters.ts';
import type { Portal } from './portal.ts';
import type { MyCarrierPacketsSettings } from './settings.ts';
import type { Tokens } from './tokens.ts';

export interface ApiOptions {
  portal: Portal;
  tokens: Tokens;
  settings: () => MyCarrierPacketsSettings;
  admit: ReturnType<typeof openLimits>;
  whenAnswered: (work: () => void) => void;
  /** As clients reach it: errors name the whole address. */
  origin: () => string;
  log: (line: object) => void;
}

/** The status page of the server before the application. */
const lengthRequired =
  '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN""http://www.w3.org/TR/html4/strict.dtd">\r\n<HTML><HEAD><TITLE>Length Required</TITLE></HEAD><BODY><h2>Length Required</h2><hr><p>HTTP Error 411. The request must be chunked or have a content length.</p></BODY></HTML>';

/**
 * `POST /api/v1/Carrier/<Name>?...`. The order is: length, route, method, required parameters, token, plan, limits, values,
 * work. So a request without what is required is "not found" whoever asks.
 */
export function carrierApi(options: ApiOptions) {
  return (request: FastifyRequest, reply: FastifyReply, name: string): FastifyReply => {
    const { headers } = request;
    if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) {
      if (request.method === 'POST') return reply.code(411).type('text/html').send(lengthRequired);
    }
    void reply.headers({ 'cache-control': 'no-cache', pragma: 'no-cache', expires: '-1' });
    const operation = findOperation(name);
    const format = formatFor(headers.accept, operation?.jsonOnly === true);
    try {
      const answer = work(options, request, name);
      if ('pdf' in answer) return reply.type('application/pdf').send(answer.pdf);
      if (answer.pagination) void reply.header('x-pagination', JSON.stringify(answer.pagination));
      return reply.type(format.contentType).send(format.write(answer.body, operation?.returns ?? ''));
    } catch (error) {
      if (!(error instanceof ApiError)) options.log({ event: 'sandbox.bug', message: String(error) });
      const refusal = error instanceof ApiError ? error : errors.internal();
      const written = formatFor(headers.accept, false);
      void reply.code(refusal.status).headers(refusal.headers).type(written.contentType);
      return reply.send(written.write(refusal.body, 'Error'));
    }
  };
}

function work(options: ApiOptions, request: FastifyRequest, name: string) {
  const { portal, tokens } = options;
  const settings = options.settings();
  const operation = findOperation(name);
  const url = options.origin() + request.url;
  if (!operation) throw errors.noOperation(url, name);
  if (request.method !== 'POST') throw errors.method(request.method);
  const query = queryOf(request.url);
  const [missing] = missingParameters(operation.takes, query);
  if (missing !== undefined) {
    if (settings.missingParameter === 'no-action') throw errors.noAction(url);
    throw errors.refused(`${missing} is required.`);
  }

  const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  const userName = token === undefined ? undefined : tokens.authenticate(token);
  const user = userName === undefined ? undefined : portal.findUser(userName);
  if (!user) throw errors.unauthorized();
  const isDenied = settings.deniedOperations.some((one) => one.toLowerCase() === name.toLowerCase());
  if (isDenied) throw settings.deniedStatus === 401 ? errors.unauthorized() : errors.forbidden();
  options.admit(user.userName, operation.name, Number(query.get('pagenumber') ?? 1) > 1);

  const call: Call = {
    portal,
    customerId: user.customerId,
    userName: user.userName,
    zoneOffsetMinutes: settings.zoneOffsetMinutes,
    parameters: readParameters(operation.name, operation.takes, query, settings.zoneOffsetMinutes),
    settings,
    now: portal.now(),
    whenAnswered: options.whenAnswered,
  };
  return operation.answer(call);
}
