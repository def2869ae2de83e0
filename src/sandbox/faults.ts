import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { RequestLog } from './requestLog.ts';

/** Misbehaviour on request, for the next `count` requests that match. The first rule that matches applies. */
export const faultRule = z.strictObject({
  count: z.int().min(1).default(1),
  /** Answer with this status, without doing the work. */
  status: z.int().min(200).max(599).optional(),
  /** Wait first, on the sandbox's clock. Alone: a slow but right answer. */
  delayMs: z.int().min(0).optional(),
  /** Close the socket without an answer. */
  drop: z.boolean().optional(),
  /** Cut the JSON in half. */
  malformed: z.boolean().optional(),
  /** A string is sent as it is, anything else as JSON. Without a status: 200. */
  body: z.unknown().optional(),
  headers: z.record(z.string(), z.string()).optional(),
  match: z.strictObject({ method: z.string().optional(), pathContains: z.string().optional() }).optional(),
  /**
   * Do the work first: tokens are rotated, records written. Then the answer is lost (`drop: false` keeps it, so that
   * with `delayMs` it is only late), or replaced when `status`, `body` or `malformed` says so.
   */
  afterProcessing: z.boolean().optional(),
});

export type FaultRule = z.infer<typeof faultRule>;

export interface Faults {
  add(rule: FaultRule): void;
  clear(): void;
  list(): readonly FaultRule[];
}

export interface FaultOptions {
  clock: Clock;
  /** Ends delays when the sandbox closes. */
  signal: AbortSignal;
  /** What the real service would say with this status on this path. */
  bodyFor: (status: number, request: FastifyRequest) => string;
}

/** `log` is asked for late because it must be installed after these hooks. */
export function installFaults(app: FastifyInstance, options: FaultOptions, log: () => RequestLog): Faults {
  let rules: FaultRule[] = [];
  const answerRules = new WeakMap<FastifyRequest, FaultRule>();

  const take = (request: FastifyRequest): FaultRule | undefined => {
    if (request.url === '/' || request.url.startsWith('/_admin')) return undefined;
    const rule = rules.find((one) => matches(one, request));
    if (rule) {
      rule.count -= 1;
      rules = rules.filter((one) => one.count > 0);
    }
    return rule;
  };
  const wait = (rule: FaultRule) =>
    rule.delayMs ? options.clock.sleep(rule.delayMs, options.signal).catch(() => undefined) : undefined;
  const drop = (request: FastifyRequest) => {
    log().dropped(request);
    request.raw.socket.destroy();
  };
  const replaces = (rule: FaultRule) => rule.status !== undefined || rule.body !== undefined;
  /** The text to send instead of `payload`. */
  const replacement = (rule: FaultRule, request: FastifyRequest, reply: FastifyReply, payload: string) => {
    if (replaces(rule)) void reply.code(rule.status ?? 200).type('application/json;charset=UTF-8');
    for (const [name, value] of Object.entries(rule.headers ?? {})) void reply.header(name, value);
    const text =
      rule.body !== undefined
        ? typeof rule.body === 'string'
          ? rule.body
          : JSON.stringify(rule.body)
        : rule.status !== undefined
          ? options.bodyFor(rule.status, request)
          : payload;
    return rule.malformed ? text.slice(0, Math.floor(text.length / 2)) : text;
  };

  app.addHook('preHandler', async (request, reply) => {
    const rule = take(request);
    if (!rule) return undefined;
    if (rule.afterProcessing) {
      answerRules.set(request, rule);
      return undefined;
    }
    await wait(rule);
    if (rule.drop) {
      drop(request);
      return reply.hijack();
    }
    if (replaces(rule)) return reply.send(replacement(rule, request, reply, ''));
    // A delay, headers or a cut: the answer itself is the real one.
    answerRules.set(request, { ...rule, delayMs: 0 });
    return undefined;
  });
  app.addHook('onSend', async (request, reply, payload) => {
    const rule = answerRules.get(request);
    if (!rule) return payload;
    await wait(rule);
    const lost = rule.afterProcessing ? (rule.drop ?? !(replaces(rule) || rule.malformed)) : false;
    if (lost) {
      drop(request);
      return payload;
    }
    void reply.removeHeader('content-length');
    return replacement(rule, request, reply, typeof payload === 'string' ? payload : '');
  });

  return {
    add: (rule) => void rules.push({ ...rule }),
    clear: () => {
      rules = [];
    },
    list: () => rules,
  };
}

function matches({ match }: FaultRule, request: FastifyRequest): boolean {
  return (
    (match?.method === undefined || match.method.toUpperCase() === request.method) &&
    (match?.pathContains === undefined || request.url.includes(match.pathContains))
  );
}
