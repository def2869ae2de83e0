import type { OxlintConfig, OxlintOverride } from 'oxlint';

/**
 * What other folders of `src` may import of each folder, lowest first; everything else in a folder is its own. Imports
 * point one way: up this list, never down. `main` and `core` construct everything, so they may import everything, and
 * `main` has two helpers that may, too: nothing else imports those, `main`, or the sandbox.
 */
const bottom = ['errors.ts', 'log.ts', 'clock.ts', 'deadline.ts', 'background.ts'];
const calls = ['calls/caller.ts', 'calls/http.ts', 'calls/addresses.ts', 'calls/valueAt.ts'];
const events = ['events/events.ts', 'events/feed.ts'];
const db = [
  'db/database.ts',
  'db/tables.ts',
  'db/pages.ts',
  'db/statements.ts',
  'db/problems.ts',
  'db/jobs.ts',
  'db/untilStored.ts',
  'db/wakeups.ts',
  'db/leasedWork.ts',
  'db/notifications.ts',
];
const pureOAuth = ['oauth/protocol.ts', 'oauth/encryption.ts'];
const providers = [
  'providers/provider.ts',
  'providers/catalog.ts',
  'providers/batches.ts',
  'providers/masking.ts',
  'providers/signatures.ts',
  'providers/announcements.ts',
  'providers/changes.ts',
];
const oauth = [
  'oauth/tokens.ts',
  'oauth/authorization.ts',
  'oauth/accountKeys.ts',
  'oauth/revocations.ts',
  'oauth/pendingGrants.ts',
];
const connections = [
  'connections/connections.ts',
  'connections/connect.ts',
  'connections/connection.ts',
  'connections/api.ts',
  'connections/states.ts',
  'connections/webhookSecrets.ts',
];
const sync = [
  'sync/changes.ts',
  'sync/status.ts',
  'sync/records.ts',
  'sync/recordReads.ts',
  'sync/rounds.ts',
  'sync/request.ts',
];
const webhooks = ['webhooks/receive.ts', 'webhooks/deliveries.ts'];
/** What only the operator's commands use of other folders. */
const ops = [
  'config.ts',
  'keys.ts',
  'db/migrate.ts',
  'db/databaseClock.ts',
  'db/secondWall.ts',
  'providers/configured/load.ts',
  'oauth/keyRotation.ts',
  'oauth/dataKeyRotation.ts',
  'oauth/sealedValues.ts',
];
const subscriptions = ['subscriptions/subscriptions.ts'];
const guard = ['guard/guard.ts', 'guard/documents.ts', 'guard/limits.ts', 'guard/spending.ts'];
const execution = ['execution/executor.ts'];
const resolvers = [
  '../resolvers/index.ts',
  '../resolvers/context.ts',
  '../resolvers/callBudget.ts',
  '../resolvers/formatError.ts',
];

const upToDb = [...bottom, ...calls, ...events, ...db];
const upToProviders = [...upToDb, ...providers];
const upToOAuth = [...upToProviders, ...oauth];
const upToConnections = [...upToOAuth, ...connections];
const upToSync = [...upToConnections, ...sync];
const upToWebhooks = [...upToSync, ...webhooks];

/** Where several layers hold for a file, the last one does. */
const layers = [
  layer(
    'src/*.ts',
    [...from('./', upToWebhooks), ...resolvers],
    ['../**', './*/**', './main.ts', './metrics.ts', './development.ts', './configuredCatalog.ts'],
  ),
  layer(
    'src/{server,graphqlRoutes,apollo}.ts',
    [...from('./', [...upToWebhooks, ...guard, ...execution, ...subscriptions]), ...resolvers],
    ['../**', './*/**', './main.ts', './development.ts', './configuredCatalog.ts'],
  ),
  layer(
    'src/metrics.ts',
    from('./', [...bottom, 'calls/caller.ts', ...events, 'oauth/tokens.ts', 'webhooks/receive.ts']),
    ['../**', './**'],
  ),
  layer('src/{errors,log,clock,deadline,background,config}.ts', from('./', bottom), ['../**', './**']),
  layer('src/keys.ts', from('./', [...bottom, 'oauth/encryption.ts']), ['../**', './**']),
  layer('src/{calls,events,db}/**', from('../', upToDb)),
  layer('src/providers/**', from('../', [...upToProviders, ...pureOAuth])),
  layer('src/providers/*/**', from('../../', [...upToProviders, ...pureOAuth]), ['../../**']),
  layer('src/oauth/**', from('../', upToProviders)),
  layer(
    'src/oauth/{protocol,redirect,encryption}.ts',
    [...from('../', upToProviders), './protocol.ts', './encryption.ts'],
    ['../**', './**'],
  ),
  layer('src/connections/**', from('../', upToOAuth)),
  layer('src/sync/**', from('../', upToConnections)),
  layer('src/webhooks/**', from('../', upToSync)),
  layer('src/guard/**', from('../', bottom)),
  layer('src/execution/**', from('../', [...bottom, 'guard/measure.ts'])),
  layer('src/subscriptions/**', [
    ...from('../', [...upToWebhooks, ...guard, ...execution, 'identity.ts', 'routerProof.ts']),
    ...from('../', [...resolvers, '../resolvers/subscription.ts']),
  ]),
  layer('src/ops/**', from('../', [...upToOAuth, ...pureOAuth, ...ops, 'webhooks/deliveries.ts'])),
  layer('src/sandbox/**', from('../', bottom)),
  layer('src/sandbox/*/**', from('../../', bottom), ['../../**']),
  layer('resolvers/**', from('../src/', [...upToWebhooks, 'identity.ts'])),
];

/** Of what is `closed`, mostly all other folders, `files` may import only what is `open`. */
function layer(files: string, open: string[], closed: string[] = ['../**']): OxlintOverride {
  const group = [...closed, ...open.map((file) => `!${file}`)];
  const message =
    'Imports point one way, and only at what another folder offers: oxlint.config.ts has the order.';
  return {
    files: [files],
    rules: { 'no-restricted-imports': ['error', { patterns: [{ group, message }] }] },
  };
}

function from(source: string, files: string[]) {
  return files.map((file) => `${source}${file}`);
}

const config: OxlintConfig = {
  plugins: ['typescript', 'unicorn', 'oxc', 'import', 'node', 'promise', 'vitest'],
  options: { typeAware: true, denyWarnings: true, reportUnusedDisableDirectives: 'error' },
  categories: { correctness: 'error' },
  ignorePatterns: ['resolvers/types.generated.ts'],
  rules: {
    eqeqeq: ['error', 'always', { null: 'ignore' }],
    'import/no-cycle': 'error',
    'import/no-default-export': 'error',
    'no-console': 'error',
    'node/no-process-env': 'error',
    'typescript/ban-ts-comment': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/only-throw-error': 'error',
    'typescript/switch-exhaustiveness-check': 'error',
    'vitest/no-disabled-tests': 'error',
    'vitest/no-focused-tests': 'error',
    // Our objects are closures: their methods have no `this` to lose.
    'typescript/unbound-method': 'off',
    // Spreads group the members of a long list.
    'unicorn/no-useless-spread': 'off',
  },
  overrides: [
    ...layers,
    {
      files: ['src/{main,core,configuredCatalog,development}.ts'],
      rules: { 'no-restricted-imports': 'off' },
    },
    {
      files: ['src/config.ts', 'src/main.ts', 'test/**', 'bench/**', '.ci/**'],
      rules: { 'node/no-process-env': 'off' },
    },
    { files: ['test/**', 'bench/**', '.ci/**'], rules: { 'no-console': 'off' } },
    {
      files: [
        '*.config.{ts,mjs}',
        'codegen.ts',
        'test/support/{plainReporter,tableReporter,postgresServer}.ts',
      ],
      rules: { 'import/no-default-export': 'off' },
    },
    {
      files: ['src/**', 'resolvers/**'],
      rules: {
        'typescript/no-unsafe-argument': 'error',
        'typescript/no-unsafe-assignment': 'error',
        'typescript/no-unsafe-call': 'error',
        'typescript/no-unsafe-member-access': 'error',
        'typescript/no-unsafe-return': 'error',
      },
    },
  ],
};

export default config;
