import type { FastifyInstance } from 'fastify';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import type { Clock } from '../../clock.ts';
import type { Grant, Grants } from './grants.ts';

/** The real issuer: clients compare with it, whatever host they were sent to. */
const issuer = 'https://oauth.platform.intuit.com/op/v1';
const keyId = 'sandbox-1';
const user = {
  sub: '5d0f2a34-6c1e-4f39-9d0b-8a3f2c7be601',
  email: 'dana.broker@sandbox.example',
  emailVerified: true,
  givenName: 'Dana',
  familyName: 'Broker',
  phoneNumber: '+1 5550100100',
  phoneNumberVerified: false,
  address: {
    streetAddress: '2210 Industrial Loop',
    locality: 'Omaha',
    region: 'NE',
    postalCode: '68110',
    country: 'US',
  },
};

export interface IdTokens {
  /** A signed `id_token`, as sent when `openid` was asked for. */
  sign(grant: Grant, clientId: string): Promise<string>;
}

/** Discovery, keys and userinfo. The signing key lasts as long as the process and is made when first needed. */
export function openIdRoutes(
  app: FastifyInstance,
  clock: Clock,
  grants: Grants,
  baseUrl: () => string,
): IdTokens {
  let made: Promise<{ privateKey: CryptoKey; publicJwk: JWK }> | undefined;
  const keys = () =>
    (made ??= generateKeyPair('RS256', { modulusLength: 2048 }).then(async ({ privateKey, publicKey }) => ({
      privateKey,
      publicJwk: { ...(await exportJWK(publicKey)), kid: keyId, use: 'sig', alg: 'RS256' },
    })));

  for (const path of ['/.well-known/openid_configuration', '/.well-known/openid_sandbox_configuration']) {
    app.get(path, () => ({
      issuer,
      authorization_endpoint: `${baseUrl()}/connect/oauth2`,
      token_endpoint: `${baseUrl()}/oauth2/v1/tokens/bearer`,
      userinfo_endpoint: `${baseUrl()}/v1/openid_connect/userinfo`,
      revocation_endpoint: `${baseUrl()}/v2/oauth2/tokens/revoke`,
      jwks_uri: `${baseUrl()}/op/v1/jwks`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
      // Only these, although data scopes exist: so it is at Intuit.
      scopes_supported: ['openid', 'email', 'profile', 'address', 'phone'],
      token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
      claims_supported: ['aud', 'exp', 'iat', 'iss', 'realmid', 'sub'],
    }));
  }
  app.get('/op/v1/jwks', async () => ({ keys: [(await keys()).publicJwk] }));
  app.get('/v1/openid_connect/userinfo', async (request, reply) => {
    const token = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const grant = token === undefined ? undefined : grants.authenticate(token);
    if (!grant || grant.endedBy || !grant.scope.split(' ').includes('openid')) {
      return reply
        .code(401)
        .header('www-authenticate', 'Bearer error="invalid_token"')
        .send({ error: 'invalid_token' });
    }
    return user;
  });

  return {
    async sign(grant, clientId) {
      const now = Math.floor(clock.now() / 1000);
      return new SignJWT({ realmid: grant.realmId, auth_time: Math.floor(grant.consentedAt / 1000) })
        .setProtectedHeader({ alg: 'RS256', kid: keyId })
        .setSubject(user.sub)
        .setAudience([clientId])
        .setIssuer(issuer)
        .setIssuedAt(now)
        .setExpirationTime(now + 3600)
        .sign((await keys()).privateKey);
    },
  };
}
