import { describe, expect, it } from 'vitest';
import { classifySlack } from '../../src/providers/slackFaults.ts';

const judge = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  classifySlack({ status, headers, body: typeof body === 'string' ? body : JSON.stringify(body) });
const refusal = (error: string) => ({ ok: false, error });

describe('classifySlack', () => {
  it('finds no fault in ok: true', () => {
    expect(judge(200, { ok: true, team: { id: 'T1' } })).toBeUndefined();
    expect(judge(200, { ok: true, error: 'invalid_auth', warning: 'superfluous_charset' })).toBeUndefined();
  });

  it.each([
    ['invalid_auth', 'REAUTHORIZATION_REQUIRED'],
    ['not_authed', 'REAUTHORIZATION_REQUIRED'],
    ['token_revoked', 'REAUTHORIZATION_REQUIRED'],
    ['account_inactive', 'REAUTHORIZATION_REQUIRED'],
    ['org_login_required', 'REAUTHORIZATION_REQUIRED'],
    ['invalid_refresh_token', 'REAUTHORIZATION_REQUIRED'],
    ['token_expired', 'UNAUTHENTICATED'],
    ['missing_scope', 'SCOPES_INSUFFICIENT'],
    ['no_permission', 'FORBIDDEN'],
    ['not_allowed_token_type', 'FORBIDDEN'],
    ['ekm_access_denied', 'FORBIDDEN'],
    ['accesslimited', 'FORBIDDEN'],
    ['ratelimited', 'RATE_LIMITED'],
    ['rate_limited', 'RATE_LIMITED'],
    ['internal_error', 'PROVIDER_ERROR'],
    ['fatal_error', 'PROVIDER_ERROR'],
    ['service_unavailable', 'PROVIDER_ERROR'],
    ['request_timeout', 'PROVIDER_ERROR'],
    ['team_added_to_org', 'PROVIDER_ERROR'],
    ['channel_not_found', 'NOT_FOUND'],
    ['user_not_found', 'NOT_FOUND'],
    ['message_not_found', 'NOT_FOUND'],
    ['not_in_channel', 'VALIDATION_FAILED'],
    ['is_archived', 'VALIDATION_FAILED'],
    ['msg_too_long', 'VALIDATION_FAILED'],
    ['no_text', 'VALIDATION_FAILED'],
    ['invalid_cursor', 'BAD_REQUEST'],
    ['invalid_limit', 'BAD_REQUEST'],
    ['invalid_types', 'BAD_REQUEST'],
    ['invalid_arguments', 'BAD_REQUEST'],
    ['a_code_of_next_year', 'BAD_REQUEST'],
    ['constructor', 'BAD_REQUEST'],
  ])('takes %s for %s', (error, code) => {
    const fault = judge(200, refusal(error));
    expect(fault).toMatchObject({ code, providerCode: error, details: [{ code: error }] });
    expect(fault!.message).toMatch(/Slack/);
    expect(fault!.message).not.toContain(error);
  });

  it.each([
    [200, { ok: false }, 'BAD_REQUEST'],
    [200, { ok: false, error: { a: 1 } }, 'BAD_REQUEST'],
    [200, {}, 'PROVIDER_ERROR'],
    [200, { ok: 'true' }, 'PROVIDER_ERROR'],
    [200, 'null', 'PROVIDER_ERROR'],
    [200, '', 'PROVIDER_ERROR'],
    [200, '<html>Down for a moment</html>', 'PROVIDER_ERROR'],
    [200, '{"ok":tr', 'PROVIDER_ERROR'],
    [302, '', 'PROVIDER_ERROR'],
    [429, '', 'RATE_LIMITED'],
    [429, refusal('ratelimited'), 'RATE_LIMITED'],
    [429, refusal('invalid_auth'), 'RATE_LIMITED'],
    [503, refusal('ratelimited'), 'RATE_LIMITED'],
    [503, refusal('invalid_auth'), 'PROVIDER_ERROR'],
    [500, refusal('channel_not_found'), 'PROVIDER_ERROR'],
    [500, { ok: true }, 'PROVIDER_ERROR'],
    [401, refusal('invalid_auth'), 'REAUTHORIZATION_REQUIRED'],
    [401, refusal('token_expired'), 'UNAUTHENTICATED'],
    [403, refusal('missing_scope'), 'SCOPES_INSUFFICIENT'],
    [401, '', 'UNAUTHENTICATED'],
    [403, '', 'FORBIDDEN'],
    [404, '', 'NOT_FOUND'],
    [400, refusal('a_code_of_next_year'), 'BAD_REQUEST'],
    [403, refusal('a_code_of_next_year'), 'FORBIDDEN'],
    [400, { ok: true }, 'BAD_REQUEST'],
  ])('takes %i with %j for %s', (status, body, code) => {
    expect(judge(status, body)).toMatchObject({ code });
  });

  it('says which scopes are missing', () => {
    const body = { ...refusal('missing_scope'), needed: 'channels:read,groups:read', provided: 'chat:write' };
    expect(judge(200, body)?.details).toEqual([
      {
        code: 'missing_scope',
        message: 'needed channels:read,groups:read: provided chat:write',
        element: 'scope',
      },
    ]);
  });

  it('says which argument was wrong, without tokens', () => {
    const messages = ['[ERROR] missing required field: channel', '[WARN] got xoxb-1-2-abc', 7, null];
    const fault = judge(200, { ...refusal('invalid_arguments'), response_metadata: { messages } });
    expect(fault?.details).toEqual([
      { code: 'invalid_arguments' },
      { message: '[ERROR] missing required field: channel' },
      { message: '[WARN] got [redacted]' },
      { message: '7' },
    ]);
  });

  it('shows no code that could be a token', () => {
    const fault = judge(200, refusal('xoxb-123-abc'));
    expect(fault).not.toHaveProperty('providerCode');
    expect(JSON.stringify(fault)).not.toContain('123-abc');
  });

  it('asks for a minute after a throttle, where no header says more', () => {
    expect(judge(200, refusal('ratelimited'))).toMatchObject({ retryAfterMs: 60_000 });
    expect(judge(200, refusal('internal_error'))).not.toHaveProperty('retryAfterMs');
  });

  it('names the request by x-slack-req-id', () => {
    expect(judge(200, refusal('no_text'), { 'x-slack-req-id': 'd0be7c6a' })).toMatchObject({
      requestId: 'd0be7c6a',
    });
    expect(judge(200, refusal('no_text'), { 'x-slack-req-id': 'a b' })).not.toHaveProperty('requestId');
  });
});
