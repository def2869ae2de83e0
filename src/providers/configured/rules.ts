import type { ResourceFacts } from './resourceShape.ts';
import type { Entry } from './schema.ts';

/** What one member alone cannot say wrongly, but several together can. */

export interface Contradiction {
  path: (string | number)[];
  message: string;
}

export function contradictionsIn(entry: Entry): Contradiction[] {
  const found: Contradiction[] = [];
  const wrong = (when: boolean, path: string, message: string) => {
    if (when)
      found.push({ path: path.split('.').map((one) => (/^\d+$/.test(one) ? Number(one) : one)), message });
  };
  authorization(entry, wrong);
  for (const [name, facts] of Object.entries(entry.resources)) reads(name, facts, wrong);
  for (const [i, { limit, windowSec, concurrency }] of (entry.rateLimits ?? []).entries()) {
    const window = limit !== undefined && windowSec !== undefined;
    const half = (limit === undefined) !== (windowSec === undefined);
    wrong(
      half || window === (concurrency !== undefined),
      `rateLimits.${i}`,
      'needs limit and windowSec, or concurrency',
    );
  }
  deliveries(entry, wrong);
  return found;
}

type Wrong = (when: boolean, path: string, message: string) => void;

function authorization(entry: Entry, wrong: Wrong): void {
  const { authMode, accountId, clientAuth } = entry;
  wrong(
    authMode === 'oauth2_client_credentials' || authMode === 'api_key',
    'authMode',
    'is not supported by this version: oauth2_code and oauth2_password are',
  );
  if (authMode === 'oauth2_code') {
    wrong(entry.authorizeUrl === undefined, 'authorizeUrl', 'is missing');
    wrong(
      clientAuth === 'none' && entry.pkce === 'off',
      'pkce',
      'must be S256 for a client without a secret (RFC 9700 §2.1.1)',
    );
    wrong(
      accountId === undefined && entry.profile === undefined,
      'profile',
      'is missing: without it, or accountId, nothing says which account was connected',
    );
  }
  if (authMode === 'oauth2_password') {
    const unused = 'is not used where a user name and password are: leave it out';
    wrong(entry.authorizeUrl !== undefined, 'authorizeUrl', unused);
    wrong(entry.issuer !== undefined, 'issuer', unused);
    wrong(accountId?.from === 'callback', 'accountId.from', 'cannot be callback: there is none');
  }
  wrong(entry.issExpected && entry.issuer === undefined, 'issuer', 'is missing: issExpected needs it');
  const revokes = entry.revoke !== undefined && entry.revoke.style !== 'none';
  wrong(revokes && entry.revokeUrl === undefined, 'revokeUrl', 'is missing: revoke needs it');
  const unused = entry.revoke?.style === 'none' && entry.revokeUrl !== undefined;
  wrong(unused, 'revokeUrl', 'is not used: revoke.style is none');
  if (!accountId) return;
  const byCall = accountId.from === 'apiCall';
  wrong(byCall && entry.profile === undefined, 'profile', 'is missing: accountId.from needs it');
  wrong(byCall && accountId.path !== undefined, 'accountId.path', 'belongs into profile.idPath');
  wrong(!byCall && accountId.path === undefined, 'accountId.path', 'is missing');
  wrong(
    accountId.from !== 'callback' && accountId.pattern !== undefined,
    'accountId.pattern',
    'is only for callback',
  );
}

function reads(name: string, { path, batch, list }: ResourceFacts, wrong: Wrong): void {
  const at = `resources.${name}`;
  wrong(!path && !batch && !list, at, 'needs a path, a batch or a list');
  wrong(path !== undefined && !path.includes('{id}'), `${at}.path`, 'must have {id} in it');
  wrong(batch !== undefined && !batch.path.includes('{ids}'), `${at}.batch.path`, 'must have {ids} in it');
  const { type, param, cursorPath } = list?.paginate ?? {};
  const of = `${at}.list.paginate`;
  wrong(type !== undefined && type !== 'link' && param === undefined, `${of}.param`, 'is missing');
  wrong(type === 'link' && param !== undefined, `${of}.param`, 'is not for link');
  wrong(type === 'cursor' && cursorPath === undefined, `${of}.cursorPath`, 'is missing');
}

const ofHmac = [
  'header',
  'prefix',
  'algo',
  'encoding',
  'secretEncoding',
  'signedTemplate',
  'timestampHeader',
  'toleranceSec',
  'idHeader',
] as const;

function deliveries({ webhook, resources }: Entry, wrong: Wrong): void {
  if (!webhook) return;
  const { verifier, events } = webhook;
  if (verifier.scheme === 'hmac') {
    const signed = verifier.signedTemplate ?? '{body}';
    const at = 'webhook.verifier';
    wrong(verifier.header === undefined, `${at}.header`, 'is missing');
    const rest = signed.replace('{body}', '').replaceAll(/\{(ts|id)\}/g, '');
    wrong(
      !signed.includes('{body}') || /[{}]/.test(rest),
      `${at}.signedTemplate`,
      'must have {body} once, and may have {ts} and {id}',
    );
    wrong(
      signed.includes('{ts}') !== (verifier.timestampHeader !== undefined),
      `${at}.timestampHeader`,
      'belongs together with {ts} in signedTemplate',
    );
    wrong(
      signed.includes('{id}') && verifier.idHeader === undefined,
      `${at}.idHeader`,
      'is missing: signedTemplate has {id}',
    );
    wrong(
      verifier.toleranceSec !== undefined && verifier.timestampHeader === undefined,
      `${at}.toleranceSec`,
      'needs timestampHeader',
    );
  } else {
    for (const name of ofHmac)
      wrong(verifier[name] !== undefined, `webhook.verifier.${name}`, 'is only for scheme: hmac');
  }
  wrong(
    webhook.secretOf === 'application' && webhook.tenantIdPath === undefined,
    'webhook.tenantIdPath',
    'is missing: where one secret signs for all, the body has to say whose it is',
  );
  wrong(
    events.length > 0 && webhook.typePath === undefined,
    'webhook.typePath',
    'is missing: events need it',
  );
  for (const [i, { resource }] of events.entries())
    wrong(!Object.hasOwn(resources, resource), `webhook.events.${i}.resource`, 'is not one of resources');
}
