import { Kind, type FragmentDefinitionNode, type GraphQLResolveInfo, type SelectionSetNode } from 'graphql';
import type { ExternalRecordResolvers } from './types.generated.ts';

/** Fields that the id alone answers. */
const keyFields = new Set(['__typename', 'id', 'connection', 'resource', 'externalId']);

export const ExternalRecord: ExternalRecordResolvers = {
  async __resolveReference({ id }, { loaders, core }, info) {
    const [connectionId = '', resource = '', ...rest] = id.split('/');
    const externalId = rest.join('/');
    const connection = await loaders.connection.load(connectionId);
    if (!connection) return null;
    const provider = core.catalog.find(connection.integrationId)?.provider;
    if (!provider?.resources.includes(resource) || !provider.records.idPattern.test(externalId)) return null;
    const key = { connectionId: connection.id, resource, externalId };
    if (!asksForMore(info)) return key;
    const snapshot = await loaders.record({ connection, resource, externalId });
    return snapshot && { ...key, snapshot };
  },
  id: ({ connectionId, resource, externalId }) => `${connectionId}/${resource}/${externalId}`,
  connection: async ({ connectionId }, _, { loaders }) => (await loaders.connection.load(connectionId))!,
  payload: ({ snapshot }) => snapshot?.payload ?? null,
  updatedAt: ({ snapshot }) => snapshot?.updatedAt ?? null,
  fetchedAt: ({ snapshot }) => snapshot?.fetchedAt ?? null,
  deleted: ({ snapshot }) => snapshot?.deleted ?? false,
  stale: ({ snapshot }) => snapshot?.stale ?? false,
};

const asksForMore = ({ fieldNodes, fragments }: GraphQLResolveInfo) =>
  readsProvider(
    fieldNodes.flatMap(({ selectionSet }) => selectionSet ?? []),
    fragments,
  );

/** Whether `_entities` selects anything of the record that only the provider knows. Fragments that cannot be read count. */
export function readsProvider(
  sets: readonly SelectionSetNode[],
  fragments: Readonly<Record<string, FragmentDefinitionNode | undefined>>,
): boolean {
  const selects = (set: SelectionSetNode | undefined): boolean =>
    set?.selections.some((selection) => {
      if (selection.kind === Kind.FIELD) return !keyFields.has(selection.name.value);
      if (selection.kind === Kind.FRAGMENT_SPREAD)
        return selects(fragments[selection.name.value]?.selectionSet);
      const type = selection.typeCondition?.name.value;
      return (type === undefined || type === 'ExternalRecord') && selects(selection.selectionSet);
    }) ?? false;
  return sets.some(selects);
}
