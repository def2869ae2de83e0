import type { CodegenConfig } from '@graphql-codegen/cli';

const config: CodegenConfig = {
  schema: 'schema.graphql',
  generates: {
    'resolvers/types.generated.ts': {
      plugins: ['typescript', 'typescript-resolvers'],
      config: {
        federation: true,
        contextType: './context.ts#Context',
        strictScalars: true,
        scalars: {
          ID: 'string',
          DateTime: 'Date',
          JSON: 'unknown',
          _FieldSet: 'string',
        },
        mappers: {
          Account: './models.ts#AccountModel',
          Integration: './models.ts#IntegrationModel',
          Connection: './models.ts#ConnectionModel',
          SyncStatus: './models.ts#SyncStatusModel',
          ExternalRecord: './models.ts#ExternalRecordModel',
          SyncEvent: './models.ts#SyncEventModel',
          WebhookDelivery: './models.ts#WebhookDeliveryModel',
          IntegrationProblem: '../src/errors.ts#IntegrationProblem as IntegrationProblemModel',
        },
        enumsAsTypes: true,
        useTypeImports: true,
        importExtension: '.ts',
        defaultScalarType: 'never',
      },
    },
  },
};

export default config;
