import { readFile } from 'node:fs/promises';
import { format, resolveConfig } from 'prettier';

const page = new URL('../../docs/adding-a-provider.md', import.meta.url);

/** docs/adding-a-provider.md, taken at its word. */
export interface Guide {
  /** Its `ts` blocks, joined: the provider's file, for `src/providers/`. */
  file: string;
  /** The members that its headings name, in their order. */
  members: string[];
  /** Its `diff` blocks. */
  edits: Edit[];
}

interface Edit {
  before: string;
  after: string;
}

export async function readGuide(): Promise<Guide> {
  const text = await readFile(page, 'utf8');
  const blocks = (language: string) =>
    [...text.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'gm'))].map(([, block]) => block!);
  return {
    file: blocks('ts').join('\n'),
    members: [...text.matchAll(/^## (`.*)$/gm)].flatMap(([, heading]) =>
      [...heading!.matchAll(/`(\w+)`/g)].map(([, member]) => member!),
    ),
    edits: blocks('diff').map(editOf),
  };
}

/** A diff without positions: what it keeps and takes away, and what it keeps and adds. */
function editOf(diff: string): Edit {
  const side = (mark: string) =>
    diff
      .split('\n')
      .filter((line) => line.startsWith(' ') || line.startsWith(mark))
      .map((line) => `${line.slice(1)}\n`)
      .join('');
  return { before: side('-'), after: side('+') };
}

/** Throws where the text is not what the diff expects. */
export function edited(text: string, edits: readonly Edit[]): string {
  return edits.reduce((now, { before, after }) => {
    if (now.split(before).length !== 2) throw new Error(`the guide's diff does not apply:\n${before}`);
    return now.replace(before, () => after);
  }, text);
}

/** As a file of another folder: its imports lead from there into `src/`, formatted as that file would be. */
export async function movedTo(folder: URL, file: string): Promise<string> {
  const up = '../'.repeat(folder.pathname.split('/test/')[1]!.split('/').length);
  const moved = file
    .replaceAll(/from '\.\/(?=\w)/g, `from '${up}src/providers/`)
    .replaceAll(/from '\.\.\/(?=\w)/g, `from '${up}src/`);
  const head = '// Made of docs/adding-a-provider.md by test/providers/addingAProvider.test.ts -u.\n';
  const options = await resolveConfig(new URL('../../package.json', import.meta.url));
  return format(head + moved, { ...options, parser: 'typescript' });
}
