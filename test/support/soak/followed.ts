import type pg from 'pg';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';
import type { Product } from '../product.ts';

/** An emulated provider that changes all the time, and how what it has is held against what was stored of it. */
export interface Followed {
  integrationId: string;
  settings(sandbox: Sandbox, rateLimits: boolean): Record<string, string>;
  /** Before anything happens. `address` is the one of all processes. */
  connect(at: Surroundings): Promise<void>;
  /** Something happens at the provider. */
  change(at: Surroundings): Promise<void>;
  /** Something happens that no webhook tells: to a record that nothing else happens to. */
  loseOne(at: Surroundings): Promise<void>;
  /** The next webhooks are doubled, late, out of turn or wrongly signed. */
  misbehave(at: Surroundings): Promise<void>;
  /** Records whose last change no webhook has told with success. */
  lost(at: Surroundings): Promise<number>;
  /** Records that are not stored as the provider has them, by resource and id. Last: it may end the product's tokens. */
  differences(at: Surroundings): Promise<string[]>;
  /** Paths that faults may hit. */
  path: string;
}

export interface Surroundings {
  sandbox: Sandbox;
  db: pg.Client;
  random: () => number;
  address: string;
  /** The published limits hold. */
  rateLimits: boolean;
  product(): Product;
  admin(method: string, path: string, body?: object): Promise<any>; // oxlint-disable-line typescript/no-explicit-any -- an answer's shape is what a test asserts
  /** Rises with each happening: names that nobody has. */
  count(): number;
}

export const misbehaviours = [
  { duplicates: 2 },
  { delayMs: 700 },
  { after: 1 },
  { signature: 'wrong-secret' },
] as const;

export function oneOf<T>(random: () => number, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)]!;
}

/** JSON with the members in order: the database keeps its own. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );
}

/** The keys, `<resource> <id>`, of which the two sides say different things. */
export function differing(there: ReadonlyMap<string, string>, here: ReadonlyMap<string, string>): string[] {
  return [...new Set([...there.keys(), ...here.keys()])].filter((key) => there.get(key) !== here.get(key));
}

export async function storedOf(
  { db }: Surroundings,
  integrationId: string,
  resources: readonly string[],
): Promise<Map<string, string>> {
  const { rows } = await db.query<{ key: string; payload: unknown }>(
    `select r.resource || ' ' || r.external_id as key, r.payload from external_records r
      join connections c on c.id = r.connection_id
      where not r.deleted and c.integration_id = $1 and r.resource = any($2)`,
    [integrationId, resources],
  );
  return new Map(rows.map((row) => [row.key, canonical(row.payload)]));
}
