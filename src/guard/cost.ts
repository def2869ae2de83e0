import {
  getNamedType,
  isAbstractType,
  isCompositeType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  type DirectiveNode,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';
import type { Fragments } from './measure.ts';

/**
 * What an operation can cost at most, in points: one for each object that it can answer, more where `@cost` says so,
 * multiplied by the sizes that `@listSize` gives its lists.
 * https://specs.apollo.dev/cost/v0.1 (weights are whole numbers), after https://ibm.github.io/graphql-specs/cost-spec.html
 */
export interface CostOf {
  /** `variables` undefined: with the largest page that each variable could ask for, and `mostRepresentations`. */
  (
    operation: OperationDefinitionNode,
    fragments: Fragments,
    variables: Readonly<Record<string, unknown>> | undefined,
  ): number;
}

/** What page fields refuse to go beyond. */
const largestPage = 100;
/** Of a list of objects about which the schema does not say. */
const usualSize = 10;

type Field = GraphQLField<unknown, unknown>;

interface Facts {
  weight: number;
  /** Of the field itself, where it is a list. */
  size: number;
  slicing: readonly string[];
  /** Its members that are lists of that size. */
  sized: ReadonlySet<string>;
}

export function createCostOf(schema: GraphQLSchema, mostRepresentations: number): CostOf {
  const known = new Map<Field, Facts>();
  const factsOf = (field: Field): Facts => {
    let facts = known.get(field);
    if (!facts) known.set(field, (facts = readFacts(field)));
    return facts;
  };

  return (operation, fragments, variables) => {
    const ofSet = (set: SelectionSetNode, type: GraphQLNamedType, sizes: Sizes): number => {
      if (isAbstractType(type))
        return Math.max(0, ...schema.getPossibleTypes(type).map((one) => ofSet(set, one, sizes)));
      if (!isObjectType(type)) return 0;
      let sum = 0;
      for (const selection of set.selections) {
        if (selection.kind === Kind.FIELD) {
          const field = type.getFields()[selection.name.value];
          if (field) sum += ofField(field, selection, sizes);
          continue;
        }
        const fragment =
          selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value);
        if (fragment && applies(schema, fragment.typeCondition?.name.value, type))
          sum += ofSet(fragment.selectionSet, type, sizes);
      }
      return sum;
    };
    const ofField = (
      field: Field,
      node: {
        selectionSet?: SelectionSetNode | undefined;
        arguments?: readonly { name: { value: string }; value: ValueNode }[] | undefined;
      },
      sizes: Sizes,
    ): number => {
      const { weight, size, slicing, sized } = factsOf(field);
      const given = (name: string) => node.arguments?.find((one) => one.name.value === name)?.value;
      const page =
        slicing.length === 0
          ? size
          : Math.max(
              ...slicing.map((name) =>
                pageOf(given(name), field.args.find((one) => one.name === name)?.defaultValue, variables),
              ),
            );
      const representations = given('representations');
      const count =
        field.name === '_entities' && representations
          ? (lengthOf(representations, variables) ?? mostRepresentations)
          : isList(field.type)
            ? (sizes.get(field.name) ?? page)
            : 1;
      const inner: Sizes = new Map([...sized].map((name) => [name, page]));
      const own = node.selectionSet ? ofSet(node.selectionSet, getNamedType(field.type), inner) : 0;
      return count * (weight + own);
    };
    const root = schema.getRootType(operation.operation);
    return root ? ofSet(operation.selectionSet, root, new Map()) : 0;
  };
}

type Sizes = ReadonlyMap<string, number>;

/** Of a list that is given, in the text or as a variable; undefined where that is not known yet. */
export function lengthOf(
  value: ValueNode,
  variables: Readonly<Record<string, unknown>> | undefined,
): number | undefined {
  if (value.kind === Kind.LIST) return value.values.length;
  if (value.kind !== Kind.VARIABLE) return 1;
  if (!variables) return undefined;
  const given = variables[value.name.value];
  return Array.isArray(given) ? given.length : 1;
}

function pageOf(
  value: ValueNode | undefined,
  usual: unknown,
  variables: Readonly<Record<string, unknown>> | undefined,
): number {
  const given =
    value?.kind === Kind.INT
      ? Number(value.value)
      : value?.kind === Kind.VARIABLE
        ? variables
          ? (variables[value.name.value] ?? usual)
          : largestPage
        : usual;
  return typeof given === 'number' ? Math.min(Math.max(given, 0), largestPage) : largestPage;
}

function readFacts(field: Field): Facts {
  const named = getNamedType(field.type);
  const cost = directive(field, 'cost') ?? directive(named, 'cost');
  const listSize = directive(field, 'listSize');
  const usualWeight = isCompositeType(named) ? 1 : 0;
  const slicing = strings(argument(listSize, 'slicingArguments'));
  const assumed = argument(listSize, 'assumedSize');
  return {
    weight: cost ? Number(textOf(argument(cost, 'weight'))) : usualWeight,
    size: assumed ? Number(textOf(assumed)) : usualSize,
    slicing,
    sized: new Set(strings(argument(listSize, 'sizedFields'))),
  };
}

interface Described {
  astNode?: { directives?: readonly DirectiveNode[] | undefined } | null | undefined;
}

/** Imported by its own name. */
function directive({ astNode }: Described, name: string): DirectiveNode | undefined {
  return astNode?.directives?.find((one) => one.name.value === name);
}

function argument(of: DirectiveNode | undefined, name: string): ValueNode | undefined {
  return of?.arguments?.find((one) => one.name.value === name)?.value;
}

const textOf = (value: ValueNode | undefined) => (value && 'value' in value ? String(value.value) : '');
const strings = (value: ValueNode | undefined) =>
  value?.kind === Kind.LIST ? value.values.map((one) => textOf(one)) : [];

function isList(type: GraphQLOutputType): boolean {
  return isNonNullType(type) ? isList(type.ofType as GraphQLOutputType) : isListType(type);
}

function applies(schema: GraphQLSchema, condition: string | undefined, type: GraphQLObjectType): boolean {
  if (condition === undefined || condition === type.name) return true;
  const named = schema.getType(condition);
  return isAbstractType(named) && schema.isSubType(named, type);
}
