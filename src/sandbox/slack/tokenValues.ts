import { createHash } from 'node:crypto';
import type { Clock } from '../../clock.ts';

/** Made-up values of the shapes and lengths that Slack's have. */

export function codeValue(clock: Clock): string {
  return `${digits(clock, 10)}.${digits(clock, 13)}.${clock.randomBytes(32).toString('hex')}`;
}

/** `xoxb-…` and `xoxp-…`, or `xoxe.xoxb-1-…` and `xoxe.xoxp-1-…` where they expire. */
export function accessTokenValue(clock: Clock, kind: 'bot' | 'user', expires: boolean): string {
  const prefix = kind === 'bot' ? 'xoxb' : 'xoxp';
  return expires
    ? `xoxe.${prefix}-1-${letters(clock, 152)}`
    : `${prefix}-${digits(clock, 12)}-${digits(clock, 13)}-${letters(clock, 24)}`;
}

export function refreshTokenValue(clock: Clock): string {
  return `xoxe-1-${letters(clock, 146)}`;
}

export function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** RFC 7636, 4.2. */
export function challengeOf(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url');
}

function letters(clock: Clock, length: number): string {
  return clock.randomBytes(length).toString('base64url').replace(/[-_]/g, 'x').slice(0, length);
}

function digits(clock: Clock, length: number): string {
  return [...clock.randomBytes(length)].map((byte) => byte % 10).join('');
}
