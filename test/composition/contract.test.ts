import { readFileSync } from 'node:fs';
import { Kind, parse, print, visit, type ASTNode, type ASTVisitor, type DocumentNode } from 'graphql';
import { describe, expect, it } from 'vitest';

const read = (path: string) => parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
const schema = read('../../schema.graphql');

/** Everything a schema is made of as one line each: `type T @d`, `T.field(a: A = 1): B`, `E.VALUE`, `Input.field: A`. */
function signatures(document: DocumentNode): string[] {
  return bare(document)
    .definitions.flatMap((definition) => {
      if (!('name' in definition) || !definition.name) return [print(definition)];
      const name = definition.name.value;
      const members: readonly ASTNode[] = [
        ...('fields' in definition ? (definition.fields ?? []) : []),
        ...('values' in definition ? (definition.values ?? []) : []),
      ];
      const head = print(Object.assign({}, definition, { fields: undefined, values: undefined }));
      return [head, ...members.map((member) => `${name}.${print(member)}`)];
    })
    .toSorted();
}

/** Without descriptions, which would put arguments on lines of their own. */
const bare = (document: DocumentNode): DocumentNode =>
  visit(document, {
    enter: (node) => ('description' in node ? { ...node, description: undefined } : undefined),
  });

function undescribed(document: DocumentNode): string[] {
  const names: string[] = [];
  const path: string[] = [];
  const check: ASTVisitor = {
    enter: (node) => {
      if (!('name' in node) || node.name?.kind !== Kind.NAME || !('loc' in node)) return;
      if (!describable.has(node.kind)) return;
      path.push(node.name.value);
      if (!('description' in node) || !node.description?.value.trim()) names.push(path.join('.'));
    },
    leave: (node) => {
      if (describable.has(node.kind)) path.pop();
    },
  };
  visit(document, check);
  return names;
}

const describable = new Set<string>([
  Kind.SCALAR_TYPE_DEFINITION,
  Kind.OBJECT_TYPE_DEFINITION,
  Kind.INTERFACE_TYPE_DEFINITION,
  Kind.UNION_TYPE_DEFINITION,
  Kind.ENUM_TYPE_DEFINITION,
  Kind.INPUT_OBJECT_TYPE_DEFINITION,
  Kind.DIRECTIVE_DEFINITION,
  Kind.FIELD_DEFINITION,
  Kind.INPUT_VALUE_DEFINITION,
  Kind.ENUM_VALUE_DEFINITION,
]);

describe('schema.graphql', () => {
  it('is exactly the contract', () => {
    expect(signatures(schema)).toEqual(signatures(read('contract.graphql')));
  });

  it('describes every type, field, argument, enum value and input field', () => {
    expect(undescribed(schema)).toEqual([]);
  });
});

describe('the search for descriptions', () => {
  it('finds every place that has none', () => {
    const sample = parse('"T" type T { "a" a("x" x: ID, y: ID): ID  b: ID } enum E { "" V }');
    expect(undescribed(sample)).toEqual(['T.a.y', 'T.b', 'E', 'E.V']);
  });
});
