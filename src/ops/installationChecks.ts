import type { Config } from '../config.ts';
import { fail, ok, warn, type Finding } from './finding.ts';

const neededMajor = 24;
/** RFC 7518 §3.2: a key of HS256 has at least the size of the hash. */
const shortestSecretBytes = 32;

export function checkNode(version: string): Finding {
  return Number.parseInt(version, 10) >= neededMajor
    ? ok('node', version)
    : fail('node', `this is Node ${version}`, `use Node ${neededMajor}; npm run brings it along`);
}

/** What the start lets pass and an operator should know. */
export function* checkRules({ production, identity, publicUrl }: Config): Generator<Finding> {
  if (identity.kind === 'development')
    yield warn(
      'identity',
      'x-account-id is believed without proof, from this machine only',
      'set AUTH_JWKS_URL or AUTH_JWT_SECRET where others can reach it',
    );
  else if (identity.kind === 'secret' && Buffer.byteLength(identity.secret) < shortestSecretBytes)
    yield warn(
      'identity',
      `AUTH_JWT_SECRET has ${Buffer.byteLength(identity.secret)} bytes and HS256 asks for ${shortestSecretBytes}`,
      'make a longer one, e.g. openssl rand -base64 32',
    );
  else
    yield ok(
      'identity',
      identity.kind === 'jwks' ? 'verified by AUTH_JWKS_URL' : 'verified by AUTH_JWT_SECRET',
    );

  if (production && !publicUrl.startsWith('https:'))
    yield warn(
      'public url',
      `PUBLIC_URL ${publicUrl} is not https: authorization codes come in the clear`,
      'put TLS before the service, and set PUBLIC_URL to it',
    );
}
