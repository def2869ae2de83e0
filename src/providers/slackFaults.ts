import type { Fault, HttpResponse, RawDetail } from '../calls/http.ts';
import {
  asObject,
  codeText,
  detailsIn,
  faultOf,
  jsonIn,
  sentence,
  textOf,
  verdictOf,
  type AnswerCode,
  type Dialect,
  type Verdict,
} from './httpFaults.ts';

const dialect: Dialect = {
  name: 'Slack',
  requestIdHeaders: ['x-slack-req-id'],
  words: {
    FORBIDDEN: 'The Slack workspace or its plan does not allow this.',
    REAUTHORIZATION_REQUIRED: 'Slack no longer lets us into this workspace: connect again.',
    SCOPES_INSUFFICIENT: 'Slack was not asked for a permission that this needs: connect again to grant it.',
  },
};

/** Limits count by the minute. The header, which a 429 always has, wins. */
const throttlePauseMs = 60_000;

/**
 * Failures are HTTP 200 with `ok: false` and a code in `error`; of the HTTP errors only 429 says something by itself.
 * A server in trouble proves nothing about a connection: from a 5xx only a throttle is believed.
 */
export function classifySlack(response: HttpResponse): Fault | undefined {
  const { status, body } = response;
  const answer = asObject(jsonIn(body));
  if (status >= 200 && status < 300 && answer?.ok === true) return undefined;
  const refusal = answer?.ok === false ? answer : undefined;
  const error = codeText(refusal?.error);
  const verdict = verdictFor(status, refusal !== undefined, error);
  return faultOf(dialect, response, {
    ...verdict,
    providerCode: error,
    details: refusal ? detailsOf(refusal) : answer?.ok === true ? [] : detailsIn(body),
    ...(verdict.code === 'RATE_LIMITED' && { retryAfterMs: throttlePauseMs }),
  });
}

function verdictFor(status: number, refused: boolean, error: string | undefined): Verdict {
  const known = error === undefined ? undefined : codes.get(error);
  if (status === 429 || known === 'RATE_LIMITED') return { code: 'RATE_LIMITED' };
  const byStatus = verdictOf(status);
  if (status >= 400 && byStatus.code === 'PROVIDER_ERROR') return byStatus;
  if (known) return { code: known };
  if (error?.endsWith('_not_found')) return { code: 'NOT_FOUND' };
  // A refusal that we do not know is about what was asked; a success without `ok` is not Slack's API speaking.
  return status < 300 && refused ? { code: 'BAD_REQUEST' } : byStatus;
}

const classes: Partial<Record<AnswerCode, readonly string[]>> = {
  REAUTHORIZATION_REQUIRED: [
    'invalid_auth',
    'not_authed',
    'token_revoked',
    'account_inactive',
    'org_login_required',
    'invalid_refresh_token',
  ],
  // Token rotation: a refresh cures it.
  UNAUTHENTICATED: ['token_expired'],
  SCOPES_INSUFFICIENT: ['missing_scope'],
  FORBIDDEN: [
    'no_permission',
    'not_allowed_token_type',
    'ekm_access_denied',
    'accesslimited',
    'access_denied',
    'restricted_action',
    'team_access_not_granted',
    'enterprise_is_restricted',
  ],
  RATE_LIMITED: ['ratelimited', 'rate_limited'],
  PROVIDER_ERROR: [
    'internal_error',
    'fatal_error',
    'service_unavailable',
    'request_timeout',
    // The workspace is moving into an organization; Slack asks to try again later.
    'team_added_to_org',
  ],
  // What the person can mend; below, what we asked wrongly. `*_not_found` is NOT_FOUND.
  VALIDATION_FAILED: ['not_in_channel', 'is_archived', 'msg_too_long', 'no_text'],
  // `invalid_cursor` tells a reader of pages, by `providerCode`, to start anew.
  BAD_REQUEST: ['invalid_cursor', 'invalid_limit', 'invalid_types', 'invalid_arguments'],
};

const codes: ReadonlyMap<string, AnswerCode> = new Map(
  Object.entries(classes).flatMap(([code, errors]) => errors.map((error) => [error, code as AnswerCode])),
);

/** `needed` and `provided` come with `missing_scope`; `messages` say which argument was wrong. */
function detailsOf(answer: Record<string, unknown>): RawDetail[] {
  const { error, errors, needed, provided } = answer;
  const scopes = [
    textOf(needed) && `needed ${textOf(needed)}`,
    textOf(provided) && `provided ${textOf(provided)}`,
  ];
  const messages = asObject(answer.response_metadata)?.messages;
  const said: unknown[] = [...listOf(messages), ...listOf(errors)];
  return [
    { code: error, message: sentence(scopes), ...(textOf(needed) && { element: 'scope' }) },
    ...said.map((message) => ({ message })),
  ];
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
