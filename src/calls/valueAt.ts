/**
 * The value inside an answer that a path leads to: names of members, or places in lists, with dots between, e.g.
 * `data.0.id`; a dot that belongs to a name has a backslash before it. Undefined where there is none.
 */
export function valueAt(value: unknown, path: string): unknown {
  return path
    .split(/(?<!\\)\./)
    .map((name) => name.replaceAll('\\.', '.'))
    .reduce<unknown>(
      (at, name) =>
        typeof at === 'object' && at !== null && Object.hasOwn(at, name)
          ? (at as Record<string, unknown>)[name]
          : undefined,
      value,
    );
}
