import { LineCounter, parseDocument, type YAMLParseError } from 'yaml';
import { ConfigurationError } from '../../errors.ts';
import type { Provider } from '../provider.ts';
import { asBuiltIn, type DescribedProvider } from './described.ts';
import { entrySchema, overrideSchema } from './jsonSchema.ts';
import { idAt, mistakesOf, named, nearest, positionOf, type Mistake } from './mistakes.ts';
import { overridden } from './override.ts';
import { toProvider } from './provider.ts';
import { contradictionsIn } from './rules.ts';
import { entryShape, overrideShape } from './schema.ts';

/**
 * What the YAML `text` makes of the built-in integrations, and its own after them. Throws a `ConfigurationError` that
 * has one line for each mistake: `file:line:column: name what`. No value is repeated: it may be a secret.
 */
export function readIntegrations(
  text: string,
  options: { file: string; production: boolean; builtIn: readonly Provider[] },
): DescribedProvider[] {
  const { file, production, builtIn } = options;
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [first] = document.errors;
  if (first) {
    // What follows the first is mostly its consequence.
    const { line, col } = lines.linePos(first.pos[0]);
    throw new ConfigurationError(`${file}:${line}:${col}: is not YAML: ${wordsOf(first)}`);
  }
  const data = valueOf(document, file);
  const described = new Map<string, DescribedProvider>(
    builtIn.map((provider) => [provider.id, asBuiltIn(provider)]),
  );
  const mistakes: Mistake[] = [];
  const seen = new Set<string>();
  for (const [index, raw] of entriesIn(data, mistakes).entries()) {
    const id = idAt(data, index);
    const at = ['integrations', index];
    if (id !== undefined && seen.has(id))
      mistakes.push({ path: [...at, 'id'], message: 'is described twice' });
    if (id !== undefined) seen.add(id);
    const original = builtIn.find((provider) => provider.id === id);
    const found = describe(raw, { at, id, original, production });
    if (Array.isArray(found)) mistakes.push(...found);
    else described.set(found.provider.id, found);
  }
  if (mistakes.length === 0) return [...described.values()];
  const placed = mistakes.map(({ path, message }) => ({
    ...positionOf(document, lines, path),
    message: `${named(path, data)} ${message}`,
  }));
  const sorted = placed.toSorted((a, b) => a.line - b.line || a.col - b.col);
  throw new ConfigurationError(
    sorted.map(({ line, col, message }) => `${file}:${line}:${col}: ${message}`).join('\n'),
  );
}

interface Described {
  at: (string | number)[];
  id: string | undefined;
  /** The built-in provider that it is about. */
  original: Provider | undefined;
  production: boolean;
}

function describe(raw: unknown, { at, id, original, production }: Described): DescribedProvider | Mistake[] {
  const allowPrivateNetwork = (raw as { allowPrivateNetwork?: unknown } | null)?.allowPrivateNetwork === true;
  const trust = { production, allowPrivateNetwork };
  if (original) {
    const parsed = overrideShape(trust).safeParse(raw);
    if (parsed.success) {
      const provider = overridden(original, parsed.data);
      const isAimed = provider.endpoints !== original.endpoints;
      return { ...asBuiltIn(provider), allowPrivateNetwork, isAimed };
    }
    const context = { at, raw, id, schema: overrideSchema, wider: entrySchema };
    return mistakesOf(parsed.error.issues, context);
  }
  const parsed = entryShape(trust).safeParse(raw);
  if (!parsed.success) return mistakesOf(parsed.error.issues, { at, raw, id, schema: entrySchema });
  const entry = parsed.data;
  const contradictions = contradictionsIn(entry);
  if (contradictions.length > 0)
    return contradictions.map(({ path, message }) => ({ path: [...at, ...path], message }));
  return { provider: toProvider(entry), allowPrivateNetwork, verified: entry.verified, isAimed: true };
}

/** Without what it quotes of the text. */
const wordsOf = ({ message }: YAMLParseError) => message.replace(/(?: [\w-]+)?[:("].*$/s, '').trim();

function valueOf(document: ReturnType<typeof parseDocument>, file: string): unknown {
  try {
    return document.toJS() as unknown;
  } catch {
    throw new ConfigurationError(`${file}: an alias leads nowhere, or to more than such a file can hold`);
  }
}

function entriesIn(data: unknown, mistakes: Mistake[]): unknown[] {
  const root = typeof data === 'object' && data !== null && !Array.isArray(data) ? data : {};
  for (const key of Object.keys(root).filter((one) => one !== 'integrations')) {
    const meant = nearest(key, ['integrations']);
    const suggestion = meant === undefined ? '' : `: did you mean ${meant}?`;
    mistakes.push({ path: [key], message: `is not known${suggestion}` });
  }
  const list = (root as { integrations?: unknown }).integrations;
  if (Array.isArray(list)) return list as unknown[];
  mistakes.push({ path: ['integrations'], message: 'must be a list of integrations' });
  return [];
}
