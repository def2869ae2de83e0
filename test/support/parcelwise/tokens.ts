import { createHash, randomUUID } from 'node:crypto';

export interface TokenAnswer {
  status: number;
  body: object;
}

/** Parcelwise's token endpoint: PKCE, rotation, and an end to every authorization whose refresh token is used twice. */
export interface ParcelwiseTokens {
  issueCode(request: URLSearchParams): string;
  token(form: URLSearchParams): TokenAnswer;
  revoke(token: string): void;
  /** The kind of error, or undefined for a token that is good. */
  refuses(accessToken: string): 'token_expired' | 'grant_revoked' | undefined;
  expireAccessTokens(): void;
}

export const lifetimeSeconds = 1_800;

interface Grant {
  scope: string;
  access: string;
  refresh: string;
  used: Set<string>;
  accessExpired: boolean;
  revoked: boolean;
}

export function createTokens(merchantId: string): ParcelwiseTokens {
  const codes = new Map<string, URLSearchParams>();
  const grants: Grant[] = [];
  const answerOf = (grant: Grant): TokenAnswer => {
    if (grant.refresh !== '') grant.used.add(grant.refresh);
    Object.assign(grant, {
      access: `pwa.${randomUUID()}`,
      refresh: `pwr.${randomUUID()}`,
      accessExpired: false,
    });
    return {
      status: 200,
      body: {
        ...{ token_type: 'Bearer', access_token: grant.access, expires_in: lifetimeSeconds },
        ...{ refresh_token: grant.refresh, refresh_expires_in: 2_592_000 },
        ...{ scope: grant.scope.replace(' offline', ''), merchant: { id: merchantId } },
      },
    };
  };
  const refused = (error: string): TokenAnswer => ({ status: 400, body: { error } });
  const byCode = (form: URLSearchParams): TokenAnswer => {
    const asked = codes.get(form.get('code') ?? '');
    codes.delete(form.get('code') ?? '');
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    if (!asked || asked.get('code_challenge') !== challenge) return refused('invalid_grant');
    if (asked.get('redirect_uri') !== form.get('redirect_uri')) return refused('invalid_grant');
    const scope = asked.get('scope') ?? '';
    const grant = {
      scope,
      access: '',
      refresh: '',
      used: new Set<string>(),
      accessExpired: false,
      revoked: false,
    };
    grants.push(grant);
    return answerOf(grant);
  };
  const byRefreshToken = (token: string): TokenAnswer => {
    const reused = grants.find(({ used }) => used.has(token));
    if (reused) reused.revoked = true;
    const grant = grants.find(({ refresh }) => refresh === token);
    return grant && !grant.revoked ? answerOf(grant) : refused(reused ? 'grant_revoked' : 'invalid_grant');
  };
  return {
    issueCode(request) {
      const code = randomUUID();
      codes.set(code, request);
      return code;
    },
    token(form) {
      const kind = form.get('grant_type');
      if (kind === 'authorization_code') return byCode(form);
      return kind === 'refresh_token'
        ? byRefreshToken(form.get('refresh_token') ?? '')
        : refused('unsupported_grant_type');
    },
    revoke(token) {
      for (const grant of grants) if ([grant.access, grant.refresh].includes(token)) grant.revoked = true;
    },
    refuses(accessToken) {
      const grant = grants.find(({ access }) => access === accessToken);
      if (!grant || grant.accessExpired) return 'token_expired';
      return grant.revoked ? 'grant_revoked' : undefined;
    },
    expireAccessTokens() {
      for (const grant of grants) grant.accessExpired = true;
    },
  };
}
