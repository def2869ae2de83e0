import {
  BREAK,
  Kind,
  visit,
  type DocumentNode,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import { fragmentsOf } from '../guard/measure.ts';

/** With fragments spread: what takes longer to compile would hold everybody else up. */
const mostFields = 200;

/**
 * Whether a query may be compiled by graphql-jit 0.8.
 *
 * **No text of a document may reach it, but names.** It writes literals into the code that it makes, and reads some texts
 * of its own there as code again: whoever may send a string literal could run what they like. Variables are never written
 * into code. Hence no strings, neither as arguments nor as defaults, however they are spelt, and no objects.
 *
 * It answers as graphql-js does wherever nothing fails, but not for
 * - `@skip` and `@include`: what they leave out depends on where else a fragment is spread;
 * - variables within lists: those that are not given become null;
 * - variables that may not be null but have a default;
 * - names that it joins by underscores, which an alias can bring together, and `__proto__`.
 */
export function isCompilable(document: DocumentNode, operation: OperationDefinitionNode): boolean {
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
    StringValue: refuse,
    ObjectValue: refuse,
    Directive: refuse,
    Field: ({ alias }) => (alias?.value.includes('_') ? refuse() : undefined),
    ListValue: { enter: () => void lists++, leave: () => void lists-- },
    Variable: () => (lists > 0 ? refuse() : undefined),
  });
  return found && fieldsOf(document, operation) <= mostFields;
}

/** The document is one that the guard has let through: fragments end, and their fields are bounded. */
function fieldsOf(document: DocumentNode, operation: OperationDefinitionNode): number {
  const fragments = fragmentsOf(document);
  const count = (set: SelectionSetNode | undefined): number =>
    (set?.selections ?? []).reduce((sum, one) => {
      if (one.kind === Kind.FIELD) return sum + 1 + count(one.selectionSet);
      if (one.kind === Kind.INLINE_FRAGMENT) return sum + count(one.selectionSet);
      return sum + count(fragments.get(one.name.value)?.selectionSet);
    }, 0);
  return count(operation.selectionSet);
}
