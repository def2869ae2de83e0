import type { CallbackAnswer } from './connections/connect.ts';

/** Where a callback sends the browser: `returnTo` with the outcome, or undefined when there is none. */
export function returnAddress({
  returnTo,
  connectionId,
  problem,
  completionCode,
}: CallbackAnswer): string | undefined {
  if (returnTo === null) return undefined;
  const url = new URL(returnTo);
  if (connectionId !== null) url.searchParams.set('connectionId', connectionId);
  const status = completionCode === undefined ? 'connected' : 'confirm';
  url.searchParams.set('status', problem ? 'failed' : status);
  if (completionCode !== undefined) url.searchParams.set('completionCode', completionCode);
  if (problem) url.searchParams.set('code', problem.code);
  return url.href;
}

/** The same outcome for a person whose round trip named no address to return to. */
export function callbackPage({
  connectionId,
  problem,
}: Pick<CallbackAnswer, 'connectionId'> & { problem: { code: string; message: string } | null }): string {
  const rows = problem
    ? `<dt>status</dt><dd>failed</dd><dt>code</dt><dd>${problem.code}</dd>`
    : `<dt>status</dt><dd>connected</dd>`;
  const id = connectionId === null ? '' : `<dt>connectionId</dt><dd>${escape(connectionId)}</dd>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${problem ? 'Not connected' : 'Connected'}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem}
h1{font-size:1.5rem}dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;color:#555}dd{margin:0}</style>
</head><body><h1>${problem ? 'The connection was not made' : 'Connected'}</h1>
<p>${problem ? escape(problem.message) : 'You can close this window.'}</p>
<dl>${rows}${id}</dl></body></html>
`;
}

/** No storage, no address passed on, nothing loaded: the URL of this answer carried an authorization code. */
export const callbackHeaders = {
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
};

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
