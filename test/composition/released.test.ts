import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { breakingChanges, dangerousChanges } from './changes.ts';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
const released = read('released.graphql');
const present = read('../../schema.graphql');

/** Dangerous changes since the last release that the people who write clients were told of, as the failure words them. */
const announced: string[] = [];

const cureOfBreaking = `schema.graphql breaks programs written against the last release, test/composition/released.graphql.
Put back what is gone and mark it @deprecated. Only when nobody uses it any more (or for a release that says so) copy
schema.graphql to test/composition/released.graphql. The changes:`;
const cureOfDangerous = `schema.graphql may surprise clients written against the last release.
Tell those who write them, then name each change in \`announced\` of test/composition/released.test.ts until the next
release, which copies schema.graphql to test/composition/released.graphql and empties the list. The changes:`;

const report = (cure: string, changes: readonly string[]) =>
  changes.length === 0 ? '' : [cure, ...changes].join('\n- ');

describe('schema.graphql, since the last release', () => {
  it('breaks nobody', () => {
    expect(report(cureOfBreaking, breakingChanges(released, present))).toBe('');
  });

  it('surprises nobody who was not told', () => {
    const untold = dangerousChanges(released, present).filter((change) => !announced.includes(change));
    expect(report(cureOfDangerous, untold)).toBe('');
  });
});

describe('the search for breaking changes', () => {
  it('finds none in the same schema', () => {
    expect(breakingChanges(released, released)).toEqual([]);
    expect(dangerousChanges(released, released)).toEqual([]);
  });

  it.each<[string, string, string, RegExp]>([
    [
      'a key that is gone',
      'type SyncStatus @key(fields: "id") {',
      'type SyncStatus {',
      /SyncStatus @key.*removed/,
    ],
    [
      'a key that other subgraphs can no longer join by',
      'type Account @key(fields: "id") {',
      'type Account @key(fields: "id", resolvable: false) {',
      /Account @key\(fields: "id"\) was removed/,
    ],
    [
      'a type that others may no longer have',
      'type PageInfo @shareable {',
      'type PageInfo {',
      /PageInfo @shareable.*removed/,
    ],
    [
      'a field that the supergraph hides',
      '  checkedAt: DateTime',
      '  checkedAt: DateTime @federation__inaccessible',
      /Connection.checkedAt @inaccessible was added/,
    ],
    [
      'a field that is gone',
      '  checkedAt: DateTime',
      '  provedAt: DateTime',
      /Connection.checkedAt was removed/,
    ],
    ['a field of another type', '  checkedAt: DateTime', '  checkedAt: String', /checkedAt changed type/],
    [
      'a field that may be null now',
      '  auth: IntegrationAuth!',
      '  auth: IntegrationAuth',
      /auth changed type/,
    ],
    ['a value that is gone', '  CREDENTIALS\n', '  PASSWORD\n', /CREDENTIALS was removed/],
    [
      'an argument that must be sent now',
      '    resource: String\n',
      '    resource: String!\n',
      /resource has changed type/,
    ],
  ])('finds %s', (_, from, to, expected) => {
    expect(released).toContain(from);
    const changes = breakingChanges(released, released.replace(from, to));
    expect(changes.join('\n')).toMatch(expected);
  });

  it.each<[string, string, string, RegExp]>([
    ['a new value', '  CREDENTIALS\n', '  CREDENTIALS\n\n  API_KEY\n', /API_KEY was added/],
    ['another default', 'first: Int = 50', 'first: Int = 20', /first has changed defaultValue/],
  ])('finds %s, which is dangerous', (_, from, to, expected) => {
    expect(released).toContain(from);
    const changed = released.replace(from, to);
    expect(breakingChanges(released, changed)).toEqual([]);
    expect(dangerousChanges(released, changed).join('\n')).toMatch(expected);
  });

  it('lets an import of another directive be', () => {
    const imported = released.replace('["@key", "@shareable"]', '["@key", "@shareable", "@cost"]');
    expect(imported).not.toBe(released);
    expect(breakingChanges(released, imported)).toEqual([]);
    expect(dangerousChanges(released, imported)).toEqual([]);
  });

  it('lets additions be', () => {
    const grown = released.replace(
      '  checkedAt: DateTime\n',
      '  checkedAt: DateTime\n\n  more(of: Int): String\n',
    );
    expect(grown).not.toBe(released);
    expect(breakingChanges(released, grown)).toEqual([]);
    expect(dangerousChanges(released, grown)).toEqual([]);
  });
});
