import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { integrationsFile, readConfig, type Config } from '../config.ts';
import { openDatabase, type Database } from '../db/database.ts';
import { ConfigurationError } from '../errors.ts';
import { loadIntegrations, publicClients } from '../providers/configured/load.ts';
import { accountsErase } from './accountsErase.ts';
import { UsageError, type Call, type Command, type ExitCode } from './command.ts';
import { connectionsList } from './connectionsList.ts';
import { deliveriesRedrive } from './deliveriesRedrive.ts';
import { doctor } from './doctor.ts';
import { keysRotate } from './keysRotate.ts';
import { migrateVerb } from './migrateVerb.ts';

/** The operator's commands: `npm run ops -- <verb>`. */
const commands: readonly Command[] = [
  doctor,
  keysRotate,
  deliveriesRedrive,
  connectionsList,
  accountsErase,
  migrateVerb,
];
const mostClients = 5;

const footer = `Settings are environment variables, the same as the service's; README.md lists them.
Exit code: 0 done, 1 not done or not all is well, 2 a wrong command line.
`;

function usage(): string {
  const lines = commands.map((command) => `  ${synopsis(command)}\n      ${command.summary}`);
  return `Usage: npm run ops -- <verb>\n\n${lines.join('\n')}\n\n<verb> --help says more.\n${footer}`;
}

function synopsis({ verb, operands, options }: Command): string {
  const optional = Object.entries(options).map(([name, { value }]) =>
    value === undefined ? `[--${name}]` : `[--${name} ${value}]`,
  );
  return [...verb, ...operands, ...optional].join(' ');
}

function help(command: Command): string {
  const options = Object.entries(command.options).map(([name, { value, says }]) => {
    const flag = value === undefined ? `--${name}` : `--${name} ${value}`;
    return `  ${flag.padEnd(22)} ${says}\n`;
  });
  return `Usage: npm run ops -- ${synopsis(command)}\n\n${command.summary}\n${options.length > 0 ? '\n' : ''}${options.join('')}\n${command.details}\n\n${footer}`;
}

async function run(args: readonly string[]): Promise<ExitCode> {
  const command = commands.find(({ verb }) => verb.every((word, i) => args[i] === word));
  if (!command) {
    if (args.length === 0 || args[0] === '--help' || args[0] === '-h') {
      await print(usage());
      return args.length === 0 ? 2 : 0;
    }
    const words = args.filter((word) => !word.startsWith('-')).slice(0, 2);
    throw new UsageError(`there is no verb "${words.length > 0 ? words.join(' ') : args[0]!}"`);
  }
  const { values, positionals } = parse(command, args.slice(command.verb.length));
  if (values['help'] === true) {
    await print(help(command));
    return 0;
  }
  const [missing] = command.operands.slice(positionals.length);
  if (missing !== undefined) throw new UsageError(`${command.verb.join(' ')} needs ${missing}`);
  const [superfluous] = positionals.slice(command.operands.length);
  if (superfluous !== undefined)
    throw new UsageError(`${command.verb.join(' ')} does not know what "${superfluous}" is`);

  let settings: ReturnType<Call['settings']> | undefined;
  let opening: Promise<Database> | undefined;
  const call: Call = {
    operands: positionals,
    options: values,
    settings: () => (settings ??= readSettings()),
    open: () => (opening ??= call.settings().then(({ config }) => open(config))),
    print,
  };
  try {
    return await command.run(call);
  } finally {
    await opening?.then((database) => database.close()).catch(() => undefined);
  }
}

function parse(command: Command, args: readonly string[]) {
  const options: ParseArgsOptionsConfig = { help: { type: 'boolean', short: 'h' } };
  for (const [name, { type }] of Object.entries(command.options)) options[name] = { type };
  try {
    const parsed = parseArgs({ args: [...args], options, allowPositionals: true });
    const values = parsed.values as Record<string, string | boolean | undefined>;
    for (const [name, value] of Object.entries(values))
      if (value === '') throw new UsageError(`--${name} is empty`);
    return { values, positionals: parsed.positionals };
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    if (code?.startsWith('ERR_PARSE_ARGS_') !== true) throw error;
    throw new UsageError(`${command.verb.join(' ')}: ${message.split('. ')[0]!}`);
  }
}

/** As the service reads them: what the file describes has settings of its own. */
async function readSettings() {
  const integrations = await loadIntegrations(integrationsFile());
  const ids = integrations.map(({ provider }) => provider.id);
  return { config: readConfig(ids, undefined, publicClients(integrations)), integrations };
}

function open({ databaseUrl, dataDir, databasePoolSize }: Config): Promise<Database> {
  return openDatabase({ databaseUrl, dataDir, poolSize: Math.min(databasePoolSize, mostClients) });
}

function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const line = text.endsWith('\n') ? text : `${text}\n`;
    process.stdout.write(line, (error) => (error ? reject(error) : resolve()));
  });
}

// Whoever reads us has seen enough, as in `... | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  if (error instanceof UsageError) process.stderr.write(`${error.message}; see npm run ops -- --help\n`);
  else if (error instanceof ConfigurationError) process.stderr.write(`${error.message}\n`);
  else if (error instanceof Error && 'code' in error)
    process.stderr.write(`Not done: ${error.message} (${String(error.code)})\n`);
  else throw error;
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
