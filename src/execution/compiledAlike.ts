import { Kind, visit, type DocumentNode, type OperationDefinitionNode } from 'graphql';

export function isCompiledAlike(document: DocumentNode, _operation: OperationDefinitionNode): boolean {
  void visit;
  void Kind;
  return document.definitions.length > 0;
}
