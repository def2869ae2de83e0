import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '../clock.ts';

/** One request as the sandbox saw it. Never holds a token, a code or a client secret. */
export interface LoggedRequest {
  /** ISO time of arrival. */
  at: string;
  method: string;
  /** With the query; values that could be secret are replaced. */
  path: string;
  realmId: string | null;
  /** Of Slack's requests, once a token or a code told it. */
  teamId?: string;
  /** Null while the request is under way, and for good when its answer was dropped. */
  status: number | null;
  durationMs: number | null;
  /** Of token requests: `authorization_code`, `password`, `refresh_token`, or `other`. */
  grantType?: string;
}

export interface RequestLog {
  list(): readonly LoggedRequest[];
  clear(): void;
  /** Adds what only the handler knows. */
  note(
    request: FastifyRequest,
    facts: Partial<Pick<LoggedRequest, 'realmId' | 'teamId' | 'grantType'>>,
  ): void;
  /** The answer will not reach the client. */
  dropped(request: FastifyRequest): void;
}

const longest = 20_000;
const secretParameter =
  /^(state|code|token|access_token|refresh_token|id_token|client_secret|code_verifier|assertion|password)$/i;

/** Call after every hook that changes an answer: the status is taken when the answer is final. */
export function requestLog(
  app: FastifyInstance,
  clock: Clock,
  write: (line: object) => void = () => undefined,
): RequestLog {
  let entries: LoggedRequest[] = [];
  const byRequest = new WeakMap<FastifyRequest, { entry: LoggedRequest; startedAt: number }>();
  const isAdmin = (request: FastifyRequest) => request.url.startsWith('/_admin');

  app.addHook('onRequest', async (request, reply) => {
    if (isAdmin(request)) return;
    const entry: LoggedRequest = {
      at: new Date(clock.now()).toISOString(),
      method: request.method,
      path: withoutSecrets(request.url),
      realmId: /\/company\/(\d+)/.exec(request.url)?.[1] ?? null,
      status: null,
      durationMs: null,
    };
    const startedAt = clock.monotonic();
    byRequest.set(request, { entry, startedAt });
    entries.push(entry);
    if (entries.length > longest) entries = entries.slice(-longest / 2);
    reply.raw.once('close', () => {
      entry.durationMs ??= Math.round(clock.monotonic() - startedAt);
      write(entry);
    });
  });
  app.addHook('onSend', async (request, reply, payload) => {
    const known = byRequest.get(request);
    if (known && !request.raw.socket.destroyed) {
      known.entry.status = reply.statusCode;
      known.entry.durationMs = Math.round(clock.monotonic() - known.startedAt);
    }
    return payload;
  });

  return {
    list: () => entries,
    clear: () => {
      entries = [];
    },
    note: (request, facts) => void Object.assign(byRequest.get(request)?.entry ?? {}, facts),
    dropped: (request) => {
      const known = byRequest.get(request);
      if (known) known.entry.status = null;
    },
  };
}

function withoutSecrets(url: string): string {
  const [path = '', query] = [
    url.split('?', 1)[0],
    url.includes('?') ? url.slice(url.indexOf('?') + 1) : undefined,
  ];
  if (query === undefined) return path;
  const kept = query.split('&').map((pair) => {
    const name = pair.split('=', 1)[0] ?? '';
    return secretParameter.test(decoded(name)) ? `${name}=[redacted]` : pair;
  });
  return `${path}?${kept.join('&')}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
