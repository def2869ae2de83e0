import { fail } from '../errors.ts';
import type { Catalog } from '../providers/catalog.ts';
import { allowedReturnTo } from './returnTo.ts';
import { isSecret, secretForm } from './webhookSecrets.ts';

export interface ConnectRequest {
  accountId: string;
  userId: string | null;
  integrationId: string;
  returnTo?: string | null | undefined;
  scopes?: readonly string[] | null | undefined;
  /** For integrations that are connected without a browser. Kept sealed; never shown again. */
  credentials?:
    | {
        username?: string | null | undefined;
        password?: string | null | undefined;
        webhookSecret?: string | null | undefined;
      }
    | null
    | undefined;
}

/**
 * Checks a connect before anything is written; returns the scopes to ask for.
 * @throws `IntegrationError`: NOT_FOUND, NOT_CONFIGURED, INVALID_INPUT
 */
export function checkedRequest(
  request: ConnectRequest,
  rules: {
    catalog: Catalog;
    addresses: { publicUrl: string; returnToOrigins: readonly string[] };
    /** The person confirms in the page that it names. */
    needsReturnTo: boolean;
  },
  now: Date,
) {
  const { catalog, addresses, needsReturnTo } = rules;
  const configured = catalog.find(request.integrationId);
  if (!configured) {
    const known = catalog.list().map(({ provider }) => provider.id);
    return fail('NOT_FOUND', `There is no such integration; there are: ${known.join(', ')}.`, now);
  }
  const { provider, credentials } = configured;
  const user = request.credentials ?? undefined;
  if (provider.auth === 'OAUTH2' && user)
    fail('INVALID_INPUT', `${provider.name} is authorized in the browser: leave credentials out.`, now);
  if (provider.auth === 'CREDENTIALS') {
    const { username, password } = user ?? {};
    if (user?.webhookSecret != null && !isSecret(user.webhookSecret))
      fail('INVALID_INPUT', `webhookSecret: ${secretForm}`, now);
    const isGiven = (text: string | null | undefined) => text != null && text !== '' && text.length <= 1_000;
    if (!isGiven(username) || !isGiven(password))
      fail(
        'INVALID_INPUT',
        `${provider.name} is connected with credentials: a username and a password.`,
        now,
      );
  }
  if (!credentials && provider.oauth.clientAuthentication !== 'none')
    fail('NOT_CONFIGURED', `${provider.name} is not set up here: its client id and secret are missing.`, now);
  const scopes = [...new Set([...provider.oauth.scopes, ...(request.scopes ?? [])])];
  if (scopes.length > 100) fail('INVALID_INPUT', 'scopes: at most 100 can be asked for.', now);
  const malformed = scopes.find((scope) => !/^[\x21\x23-\x5b\x5d-\x7e]{1,255}$/.test(scope));
  if (malformed !== undefined)
    fail('INVALID_INPUT', `scopes: ${JSON.stringify(malformed)} is not a scope.`, now);
  const { publicUrl, returnToOrigins } = addresses;
  const returnTo =
    request.returnTo == null ? null : allowedReturnTo(request.returnTo, publicUrl, returnToOrigins);
  if (returnTo === undefined)
    return fail('INVALID_INPUT', 'returnTo: its origin is not on the list (RETURN_TO_ORIGINS).', now);
  if (needsReturnTo && provider.auth === 'OAUTH2' && returnTo === null)
    return fail(
      'INVALID_INPUT',
      'returnTo: is missing. It is handed the code that the person confirms the connection with.',
      now,
    );
  return { scopes, returnTo, provider };
}
