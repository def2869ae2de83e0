import { createHash } from 'node:crypto';
import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type CompiledQuery,
} from 'kysely';
import type { Tables } from './tables.ts';

/** What can be compiled: a query of the builder, or one written with `sql`. */
interface Statement<Row> {
  compile(db: Kysely<Tables>): CompiledQuery<Row>;
}

/** Carries the name under which a session of PostgreSQL may keep it parsed and planned; see `accountDialect.ts`. */
export interface NamedQuery<Row> extends CompiledQuery<Row> {
  name: string;
}

/** Stands in for a value while a statement is built: it may be passed on, and nothing else. */
export type Value<Values> = <Name extends keyof Values>(name: Name) => Values[Name];

/**
 * A statement that is built once, when its module is loaded, and then run with other values each time: for reads that
 * a request waits for. Its text is the same whatever the values, so that PostgreSQL may keep it; a list goes into one
 * value, as `any(${value('ids')}::uuid[])`.
 *
 * PostgreSQL may then plan it once, for an account of the usual size, and the largest is a thousand times that. So the
 * text leaves one way only: what is joined is looked up in an index, one by one (`cross join lateral (... limit 1)`,
 * which the planner does not turn around), and no value switches a condition off. A plain join may read all that the
 * account has for each row. See docs/decisions/0017-named-statements.md.
 */
export function statement<Values extends object, Row>(
  build: (db: Kysely<Tables>, value: Value<Values>) => Statement<Row>,
): (db: Kysely<Tables>, values: Values) => Promise<Row[]> {
  const standIn: Value<Values> = (name) => new StandIn(name) as never;
  const compiled = build(compiler, standIn).compile(compiler);
  const name = nameOf(compiled.sql);
  return async (db, values) => {
    const parameters = compiled.parameters.map((one) =>
      one instanceof StandIn ? values[one.name as keyof Values] : one,
    );
    const query: NamedQuery<Row> = { ...compiled, parameters, name };
    return (await db.executeQuery<Row>(query)).rows;
  };
}

/** One text, one name, in every version of this program: behind a PgBouncer they may share a session. */
export const nameOf = (text: string): string => createHash('sha256').update(text).digest('base64url');

class StandIn {
  readonly name: PropertyKey;
  constructor(name: PropertyKey) {
    this.name = name;
  }
}

const compiler = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
});
