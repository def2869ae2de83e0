import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';
import type { SignatureScheme } from '../providers/signatures.ts';

export interface SignedRequest {
  /** Lower-case names. */
  headers: Readonly<Record<string, string | undefined>>;
  /** As it came: what is parsed and written anew is not what was signed. */
  body: Buffer;
}

/** Why a request is refused, for the log: the sender is told nothing of it. */
export type Refusal =
  | 'no secret'
  | 'no signature'
  | 'malformed signature'
  | 'no time'
  | 'out of time'
  | 'no id'
  | 'wrong signature';

export type Verdict = { verified: true; id: string | undefined } | { verified: false; reason: Refusal };

/** More are not looked at: a sender rotates between a few secrets, and a list is a way to make us work. */
const mostSignatures = 20;

/**
 * Whether one of `secrets` signed the request. Fails closed: without a usable secret, signature or, where the scheme
 * has them, time and id, it is refused. All secrets and signatures are compared, each in constant time.
 */
export function verify(
  scheme: SignatureScheme,
  secrets: readonly string[],
  { headers, body }: SignedRequest,
  nowMs: number,
): Verdict {
  const refused = (reason: Refusal): Verdict => ({ verified: false, reason });
  const keys = secrets.map((secret) => keyOf(scheme, secret)).filter((key) => key !== undefined);
  if (keys.length === 0) return refused('no secret');
  const header = headers[scheme.header];
  if (header === undefined || header.trim() === '') return refused('no signature');
  const { signatures, pairs } = read(scheme, header);
  if (signatures.length === 0) return refused('malformed signature');

  // A blank one names nothing: all that have it would pass for the same.
  const id = scheme.idHeader === undefined ? undefined : headers[scheme.idHeader]?.trim() || undefined;
  if (scheme.signed.includes('{id}') && !isPart(id)) return refused('no id');
  let timestamp = '';
  if (scheme.timestamp) {
    const given =
      'pair' in scheme.timestamp ? pairs.get(scheme.timestamp.pair) : headers[scheme.timestamp.header];
    if (given === undefined || !/^\d{1,12}$/.test(given)) return refused('no time');
    timestamp = given;
    const apart = Math.abs(Math.floor(nowMs / 1_000) - Number(given));
    if (scheme.toleranceSeconds !== undefined && apart > scheme.toleranceSeconds)
      return refused('out of time');
  }

  const [before, after] = signedParts(scheme.signed, timestamp, id ?? '');
  let right = false;
  for (const key of keys) {
    const expected = createHmac(scheme.algorithm, key).update(before).update(body).update(after).digest();
    for (const signature of signatures)
      if (signature.length === expected.length && timingSafeEqual(signature, expected)) right = true;
  }
  return right ? { verified: true, id } : refused('wrong signature');
}

/** Signs as the provider would: for its emulator and for tests. `timestamp` in seconds. */
export function sign(
  scheme: SignatureScheme,
  secret: string,
  body: Buffer,
  { timestamp = 0, id = '' }: { timestamp?: number; id?: string } = {},
): Record<string, string> {
  const key = keyOf(scheme, secret);
  if (!key) throw new TypeError('The secret is not one of the scheme.');
  const [before, after] = signedParts(scheme.signed, String(timestamp), id);
  const digest = createHmac(scheme.algorithm, key)
    .update(before)
    .update(body)
    .update(after)
    .digest(scheme.encoding);
  const label = scheme.label ?? '';
  const headers: Record<string, string> = {};
  if (scheme.idHeader !== undefined && id !== '') headers[scheme.idHeader] = id;
  if (scheme.timestamp && 'header' in scheme.timestamp) headers[scheme.timestamp.header] = String(timestamp);
  if (scheme.form === 'list') headers[scheme.header] = `${label},${digest}`;
  else if (scheme.form === 'plain') headers[scheme.header] = `${label}${digest}`;
  else {
    const time =
      scheme.timestamp && 'pair' in scheme.timestamp ? `${scheme.timestamp.pair}=${timestamp},` : '';
    headers[scheme.header] = `${time}${label}=${digest}`;
  }
  return headers;
}

/**
 * Undefined for a blank one, and for one that is not what its encoding says: HMAC would take either without a word. Not as
 * a Buffer: of that Node 24 makes an HMAC in 12 µs, of this in 3, and in 2 it is made.
 */
function keyOf({ secretEncoding }: SignatureScheme, secret: string): KeyObject | undefined {
  if (secret.trim() === '') return undefined;
  if (secretEncoding === 'utf8') return createSecretKey(secret, 'utf8');
  const bytes = strictly('base64', secretEncoding === 'whsec' ? secret.replace(/^whsec_/, '') : secret);
  return bytes && createSecretKey(bytes);
}

/** Signatures that are well-formed; of a header of pairs, whatever stands in it. */
function read(
  { form, label = '', labelOptional, encoding }: SignatureScheme,
  header: string,
): { signatures: Buffer[]; pairs: Map<string, string> } {
  const pairs = new Map<string, string>();
  let found: string[];
  if (form === 'plain') {
    const text = header.trim();
    if (text.startsWith(label)) found = [text.slice(label.length)];
    else found = labelOptional ? [text] : [];
  } else if (form === 'list') {
    found = header
      .split(' ')
      .filter((item) => item.startsWith(`${label},`))
      .map((item) => item.slice(label.length + 1));
  } else {
    const items = header.split(',').map((item) => item.trim().split(/=(.*)/s, 2) as [string, string?]);
    for (const [name, value = ''] of items) if (!pairs.has(name)) pairs.set(name, value);
    found = items.filter(([name]) => name === label).map(([, value = '']) => value);
  }
  const signatures = found.slice(0, mostSignatures).map((text) => strictly(encoding, text));
  return { signatures: signatures.filter((one) => one !== undefined), pairs };
}

/** `Buffer.from` skips or cuts off what is not hex or base64: only what encodes back to the same text is taken. */
function strictly(encoding: 'hex' | 'base64', text: string): Buffer | undefined {
  const bytes = Buffer.from(text, encoding);
  return bytes.length > 0 && bytes.toString(encoding) === text ? bytes : undefined;
}

/** What is signed before and after the body. A dot within the id would let two requests be signed alike. */
function signedParts(template: string, timestamp: string, id: string): [string, string] {
  const [before = '', after = ''] = template.split('{body}');
  const fill = (text: string) => text.replaceAll('{timestamp}', () => timestamp).replaceAll('{id}', () => id);
  return [fill(before), fill(after)];
}

const isPart = (id: string | undefined): id is string =>
  id !== undefined && /^[\x21-\x2d\x2f-\x7e]{1,256}$/.test(id);
