/**
 * Where a callback may send the browser (RFC 9700 §4.11, open redirectors). A relative address is taken from
 * `publicUrl`. Undefined unless the parsed origin is on the list: text comparisons let `/\evil.example` through.
 */
export function allowedReturnTo(
  returnTo: string,
  publicUrl: string,
  origins: readonly string[],
): string | undefined {
  if (returnTo.length > 2_048 || !URL.canParse(returnTo, publicUrl)) return undefined;
  const url = new URL(returnTo, publicUrl);
  const plain = /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
  return plain && origins.includes(url.origin) ? url.href : undefined;
}
