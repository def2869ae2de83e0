import { ConfigurationError } from '../errors.ts';
import { shown, type Call, type Command } from './command.ts';
import { checkDatabase } from './databaseChecks.ts';
import { fail, ok, type Finding } from './finding.ts';
import { checkNode, checkRules } from './installationChecks.ts';
import { checkProviders } from './providerChecks.ts';

export const doctor: Command = {
  verb: ['doctor'],
  operands: [],
  options: { json: { type: 'boolean', says: 'one JSON object a line: check, level, message, cure' } },
  summary: 'Looks at settings, database, keys, clock and providers: a line for each, with the cure.',
  details: `Changes nothing. Run it with the environment of the service. Exits with 1 if any line says FAIL; WARN is what
works today, or is not ours to mend.`,
  async run(call) {
    const json = call.options['json'] === true;
    let failed = false;
    for await (const finding of examine(call)) {
      failed ||= finding.level === 'FAIL';
      await call.print(json ? JSON.stringify(finding) : asLine(finding));
    }
    return failed ? 1 : 0;
  },
};

function asLine({ check, level, message, cure }: Finding): string {
  const text = `${level.padEnd(4)}  ${check.padEnd(16)}  ${message}${cure === undefined ? '' : `: ${cure}`}`;
  return shown(text);
}

async function* examine(call: Call): AsyncGenerator<Finding> {
  yield checkNode(process.versions.node);
  let settings: Awaited<ReturnType<Call['settings']>>;
  try {
    settings = await call.settings();
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    yield fail('settings', error.message, 'correct it; nothing else can be looked at before');
    return;
  }
  const { config, integrations } = settings;
  yield ok('settings', config.production ? 'all are well formed, for production' : 'all are well formed');
  yield* checkRules(config);
  // They take a while, and depend on nothing of ours.
  const providers = checkProviders(config, integrations);
  yield* checkDatabase(config, call.open);
  yield* await providers;
}
