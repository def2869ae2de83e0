/**
 * Takes personal and bank data out of a provider's object before anything else sees it: what is not here cannot be
 * stored, shown, logged or sent on. Members are named without regard to case, since providers mix it, and masked
 * wherever they stand in the object. Whether there was a value stays visible; nothing of the value does.
 */
export function masked<T>(payload: T, names: readonly string[] | undefined): T {
  if (!names || names.length === 0) return payload;
  const hidden = new Set(names.map((name) => name.toLowerCase()));
  const copy = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(copy);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [
        name,
        hidden.has(name.toLowerCase()) ? hide(member) : copy(member),
      ]),
    );
  };
  return copy(payload) as T;
}

export const mask = '***';

const hide = (value: unknown) => (value === null || value === '' ? value : mask);
