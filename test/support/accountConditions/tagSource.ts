/** `node --import`: every module of `src/` is loaded with its account conditions tagged. */
import { registerHooks } from 'node:module';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tagged } from './conditions.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const file = url.startsWith('file:') ? relative(root, fileURLToPath(url)) : '';
    if (!file.startsWith('src/') || !file.endsWith('.ts')) return loaded;
    return { ...loaded, source: tagged(Buffer.from(loaded.source as Buffer).toString(), file).source };
  },
});
