import { composeServices as composeWithApollo } from '@apollo/composition';
import { composeServices as composeWithGuild } from '@theguild/federation-composition';
import { federateSubgraphs, ROUTER_COMPATIBILITY_VERSION_ONE } from '@wundergraph/composition';
import { parse, type DocumentNode } from 'graphql';

export interface Subgraph {
  name: string;
  typeDefs: DocumentNode;
}

export interface Composition {
  errors: string[];
  /** What the composer accepts but finds odd. */
  hints: string[];
  /** Undefined when refused. */
  supergraph: DocumentNode | undefined;
}

/** The composers of the routers in use; each reads the federation specification in its own way. */
export const composers: Record<string, (subgraphs: Subgraph[]) => Composition> = {
  '@apollo/composition': (subgraphs) => {
    const result = composeWithApollo(subgraphs.map((subgraph) => ({ ...subgraph, url: urlOf(subgraph) })));
    return {
      errors: (result.errors ?? []).map((error) => error.message),
      hints: (result.hints ?? []).map((hint) => `${hint.definition.code}: ${hint.message}`),
      supergraph: result.supergraphSdl === undefined ? undefined : parse(result.supergraphSdl),
    };
  },
  '@theguild/federation-composition': (subgraphs) => {
    const result = composeWithGuild(subgraphs.map((subgraph) => ({ ...subgraph, url: urlOf(subgraph) })));
    return {
      errors: (result.errors ?? []).map((error) => error.message),
      hints: [],
      supergraph: result.supergraphSdl === undefined ? undefined : parse(result.supergraphSdl),
    };
  },
  '@wundergraph/composition': (subgraphs) => {
    const result = federateSubgraphs({
      subgraphs: subgraphs.map((subgraph) => ({
        name: subgraph.name,
        url: urlOf(subgraph),
        definitions: subgraph.typeDefs,
      })),
      version: ROUTER_COMPATIBILITY_VERSION_ONE,
    });
    return {
      errors: result.success ? [] : result.errors.map((error) => error.message),
      hints: result.warnings.map((warning) => warning.message),
      supergraph: result.success ? result.federatedGraphAST : undefined,
    };
  },
};

const urlOf = (subgraph: Subgraph) => `http://${subgraph.name}.internal/graphql`;
