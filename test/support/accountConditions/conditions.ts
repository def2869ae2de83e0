/** The conditions of the product's statements that name an account, found in its source and in what it sends. */

export interface Condition {
  /** Where it stands, e.g. `src/sync/rounds.ts:59`. */
  place: string;
  /** Its line there. */
  line: string;
  /** `value`: it names the account. `join`: it keeps two tables to one account. */
  kind: 'value' | 'join';
}

const patterns: [RegExp, Condition['kind']][] = [
  [/(?<=\.where\()'((?:\w+\.)?account_id)'(?=, '(?:=|in)', )/g, 'value'],
  [/\.onRef\('(\w+\.account_id)', '=', '(\w+\.account_id)'\)/g, 'join'],
  [/(?<![\w.])(?!integrations\.)(?:\w+\.)?account_id = (?:any\()?\$\{/g, 'value'],
  // Of a table whose name is a value, too.
  [/\$\{column\} = \$\{accountId\}/g, 'value'],
  [/(?<![\w.])(?:\w+\.)?account_id = \w+\.account_id\b/g, 'join'],
];

/**
 * The source with a comment before each condition that says its place and comes out in the statement. Everything else
 * stays, the lines' numbers too.
 */
export function tagged(source: string, file: string): { source: string; conditions: Condition[] } {
  const conditions: Condition[] = [];
  const lines = source.split('\n');
  let text = source;
  for (const [pattern, kind] of patterns)
    text = text.replace(pattern, (found: string, ...groups: unknown[]) => {
      const offset = groups.find((group) => typeof group === 'number')!;
      const number = text.slice(0, offset).split('\n').length;
      const place = `${file}:${number}`;
      conditions.push({ place, line: lines[number - 1]!.trim(), kind });
      const [first, second] = groups as string[];
      if (found.startsWith("'")) return `__tagged('${place}', '${first}')`;
      if (found.startsWith('.onRef'))
        return `.on(__tagged('${place}', '${first}'), '=', __tagged(undefined, '${second}'))`;
      return `/*<${place}>*/ ${found}`;
    });
  return { source: text.includes('__tagged(') ? `${text}\n${tagging}` : text, conditions };
}

/** Added behind a module that builds conditions with Kysely. */
const tagging = `import { sql as __sql } from 'kysely';
function __tagged(place, column) {
  const ref = __sql.ref(column);
  return place === undefined ? ref : __sql\`\${__sql.raw('/*<' + place + '>*/ ')}\${ref}\`;
}
`;

const ref = String.raw`(?:(?:"?\w+"?\.)?"?account_id"?|data->>'accountId')`;
const parameter = String.raw`\$\d+(?:::\w+(?:\[\])?)?`;
const condition = new RegExp(
  String.raw`/\*<([^>]+)>\*/\s*${ref}\s*(?:=\s*(?:any\((${parameter})\)|(${parameter})|${ref})|in\s*\(([^)]*)\))`,
  'g',
);

/** A statement and, for each of its conditions, the statement without that one. */
export function withoutEach(statement: string): { place: string; without: string }[] {
  return [...statement.matchAll(condition)].map((match) => {
    const given = (match[2] ?? match[3] ?? match[4])?.match(/\$\d+/g) ?? [];
    // The values are still sent, so they must still have a type.
    const anything = given.map((one) => `${one}::text is not null`).join(' and ') || 'true';
    const end = match.index + match[0].length;
    return {
      place: match[1]!,
      without: `${statement.slice(0, match.index)}(${anything})${statement.slice(end)}`,
    };
  });
}

export const placesIn = (statement: string): string[] =>
  [...statement.matchAll(/\/\*<([^>]+)>\*\//g)].map((match) => match[1]!);
