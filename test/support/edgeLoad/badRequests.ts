import { UnsecuredJWT } from 'jose';
import { intuitScheme } from '../../../src/providers/signatures.ts';
import { sign } from '../../../src/webhooks/verify.ts';
import { hostile, megabyte } from '../../guard/hostile.ts';
import { cloudEvents } from '../cloudEvents.ts';
import { graphql, type Asked } from './wire.ts';

/** A request that is to be refused. */
export interface BadRequest {
  kind: string;
  asked: Asked;
  /** Of `<status> <code>`; where there is no answer, `cut` and why. */
  expected: RegExp;
}

/** Proofs of good traffic, and tokens that prove nothing. */
export interface Proofs {
  good: Record<string, string>;
  expired: string;
  forged: string;
}

const small = '{ connections { id } }';

export function badRequests({ good, expired, forged }: Proofs): BadRequest[] {
  const json = { 'content-type': 'application/json', ...good };
  const raw = (
    kind: string,
    body: string | Buffer,
    expected: RegExp,
    headers: Record<string, string> = {},
  ): BadRequest => ({
    ...{ kind, expected },
    asked: { path: '/graphql', body, headers: { ...json, ...headers } },
  });
  const refused = (kind: string, headers: Record<string, string>): BadRequest => ({
    ...{ kind, asked: graphql(small, {}, headers), expected: /^401 UNAUTHENTICATED$/ },
  });
  const { authorization: token, 'x-router-secret': secret } = good as {
    authorization: string;
    'x-router-secret': string;
  };
  const body = JSON.stringify({ query: small });
  const none = new UnsecuredJWT({ account_id: 'acme', scope: 'integrations:admin' })
    .setExpirationTime('1h')
    .encode();
  const webhook = Buffer.from(
    JSON.stringify(
      cloudEvents([{ id: 'forged', realm: '9341452881001001', entity: 'invoice', externalId: '1' }]),
    ),
  );
  const told = (
    kind: string,
    headers: Record<string, string>,
    expected: RegExp,
    sent = webhook,
  ): BadRequest => ({
    ...{ kind, expected },
    asked: {
      path: '/webhooks/quickbooks',
      body: sent,
      headers: { 'content-type': 'application/json', ...headers },
    },
  });
  return [
    ...[...hostile, megabyte].map((one): BadRequest => ({
      kind: one.title,
      asked: graphql(one.body.query, one.body.variables ?? {}, good),
      expected: /^400 OPERATION_TOO_COMPLEX$/,
    })),
    // Who is still writing when it is refused may find the line ended.
    raw('more than 1 MiB', 'x'.repeat(2_000_000), /^413 BAD_REQUEST$|^cut (EPIPE|ECONNRESET)/),
    raw('broken JSON', '{"query":', /^400 BAD_REQUEST$/),
    raw('an array of operations', `[${body},${body}]`, /^400 BAD_REQUEST$/),
    raw('nothing', '', /^400 BAD_REQUEST$/),
    raw('bytes', Buffer.alloc(2_000, 0xfe), /^400 BAD_REQUEST$/),
    raw('a form', 'query=1', /^415 BAD_REQUEST$/, { 'content-type': 'application/x-www-form-urlencoded' }),
    raw('plain text', small, /^415 BAD_REQUEST$/, { 'content-type': 'text/plain' }),
    raw('what claims to be gzip', body, /^415 BAD_REQUEST$/, { 'content-encoding': 'gzip' }),
    raw('a text that does not parse', '{"query":"{ connections { id"}', /^400 GRAPHQL_PARSE_FAILED$/),
    raw('a field that does not exist', '{"query":"{ nothing }"}', /^400 GRAPHQL_VALIDATION_FAILED$/),
    raw(
      'no operation of that name',
      '{"query":"query A { integrations { id } }","operationName":"B"}',
      /^400 OPERATION_RESOLUTION_FAILURE$/,
    ),
    {
      kind: 'a GET of a foreign page',
      asked: { method: 'GET', path: `/graphql?query=${encodeURIComponent(small)}`, headers: good },
      expected: /^400 BAD_REQUEST$/,
    },
    refused('no token', { 'x-router-secret': secret }),
    refused('an expired token', { authorization: `Bearer ${expired}`, 'x-router-secret': secret }),
    refused('a token of another key', { authorization: `Bearer ${forged}`, 'x-router-secret': secret }),
    refused('a token without a signature', { authorization: `Bearer ${none}`, 'x-router-secret': secret }),
    refused('an account header', { 'x-account-id': 'acme', 'x-router-secret': secret }),
    refused('no router', { authorization: token }),
    refused('a wrong router', { authorization: token, 'x-router-secret': 'guessed' }),
    told('an unsigned webhook', {}, /^401 /),
    told('a wrongly signed webhook', sign(intuitScheme, 'a guessed secret', webhook), /^401 /),
    told('a webhook that claims to be gzip', { 'content-encoding': 'gzip' }, /^415 /),
    told('a webhook of 2 MB', {}, /^413 |^cut (EPIPE|ECONNRESET)/, Buffer.alloc(2_000_000, 0x20)),
    { kind: 'a webhook of nobody', asked: { path: '/webhooks/nobody', body: '{}' }, expected: /^404 / },
    { kind: 'a path that is none', asked: { method: 'GET', path: '/admin' }, expected: /^404 / },
  ];
}

/** `<status> <code>`; of what is no GraphQL, what it says. */
export function codeOf(body: string): string {
  try {
    const { errors, error } = JSON.parse(body) as {
      errors?: { extensions?: { code?: string } }[];
      error?: string;
    };
    return errors ? (errors[0]?.extensions?.code ?? 'no code') : (error ?? 'no error');
  } catch {
    return `no JSON: ${body.slice(0, 40)}`;
  }
}
