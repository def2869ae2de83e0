import { Kind, visit, BREAK, type DocumentNode, type OperationDefinitionNode } from 'graphql';

/** Compiling the largest operations that the guard lets through would hold everybody else up. */
const longestText = 8_000;

/**
 * Whether graphql-jit 0.8 answers a query as graphql-js does wherever nothing fails. It does not for
 * - `@skip` and `@include`: what they leave out depends on where else a fragment is spread;
 * - variables within lists: those that are not given become null;
 * - objects: the same, and `__proto__` is no member of one;
 * - variables that may not be null but have a default;
 * - names that it joins by underscores, which an alias can bring together, and `__proto__`.
 */
export function isCompilable(
  text: string,
  document: DocumentNode,
  operation: OperationDefinitionNode,
): boolean {
  if (text.length > longestText) return false;
  if (
    operation.variableDefinitions?.some(
      ({ type, defaultValue }) => type.kind === Kind.NON_NULL_TYPE && defaultValue,
    )
  )
    return false;
  let lists = 0;
  let found = true;
  const refuse = () => {
    found = false;
    return BREAK;
  };
  visit(document, {
    Directive: refuse,
    Field: ({ alias }) => (alias?.value.includes('_') ? refuse() : undefined),
    ObjectValue: refuse,
    ListValue: { enter: () => void lists++, leave: () => void lists-- },
    Variable: () => (lists > 0 ? refuse() : undefined),
  });
  return found;
}
