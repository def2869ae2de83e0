/** The little of a browser that an OAuth round trip needs: pages, forms, redirects that are shown before followed. */

export interface Answer {
  status: number;
  location: string | null;
  headers: Headers;
  body: string;
}

export async function visit(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, { redirect: 'manual', ...init });
  return {
    status: response.status,
    location: response.headers.get('location'),
    headers: response.headers,
    body: await response.text(),
  };
}

/**
 * Opens the provider's consent page, fills its form in with what it offers first, or `choose`, and presses the button
 * named. Returns the address that the provider redirects to.
 */
export async function consent(
  authorizationUrl: string,
  choose: Record<string, string> = {},
  button: RegExp = /connect/i,
): Promise<string> {
  const page = await visit(authorizationUrl);
  if (page.status !== 200)
    throw new Error(`the consent page answered ${page.status}: ${page.body.slice(0, 300)}`);
  const form = /<form[^>]*>[\s\S]*<\/form>/i.exec(page.body)?.[0];
  if (!form) throw new Error('the consent page has no form');
  const fields = new URLSearchParams();
  for (const [tag] of form.matchAll(/<input[^>]*>/gi)) {
    const name = attribute(tag, 'name');
    const type = attribute(tag, 'type') ?? 'text';
    if (name && (type === 'hidden' || (type === 'radio' && (/\schecked/.test(tag) || !fields.has(name)))))
      fields.set(name, attribute(tag, 'value') ?? '');
  }
  for (const [tag, name, options] of form.matchAll(/<select[^>]*name="([^"]+)"[^>]*>([\s\S]*?)<\/select>/gi))
    if (tag) fields.set(name!, attribute(/<option[^>]*>/.exec(options!)![0], 'value') ?? '');
  for (const [tag, text] of form.matchAll(/<button[^>]*>([\s\S]*?)<\/button>/gi)) {
    const name = attribute(tag, 'name');
    if (name && button.test(`${attribute(tag, 'value') ?? ''} ${text}`))
      fields.set(name, attribute(tag, 'value') ?? '');
  }
  for (const [name, value] of Object.entries(choose)) fields.set(name, value);
  const action = new URL(attribute(form, 'action') ?? '', authorizationUrl);
  const sent = await visit(action.href, { method: 'POST', body: fields });
  if (!sent.location) throw new Error(`the consent form answered ${sent.status}: ${sent.body.slice(0, 300)}`);
  return sent.location;
}

function attribute(tag: string, name: string): string | undefined {
  const value = new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1];
  return value
    ?.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)))
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
}
