import { readFile } from 'node:fs/promises';
import { ConfigurationError } from '../../errors.ts';
import { builtInProviders } from '../catalog.ts';
import { asBuiltIn, type DescribedProvider } from './described.ts';

export type { DescribedProvider };

/** Those whose client has an id and no secret. */
export function publicClients(integrations: readonly DescribedProvider[]): Set<string> {
  return new Set(
    integrations
      .filter(({ provider }) => provider.oauth.clientAuthentication === 'public')
      .map(({ provider }) => provider.id),
  );
}

/** The built-in integrations and those of the file, if there is one. Throws a `ConfigurationError`. */
export async function loadIntegrations({
  path,
  production,
}: {
  path: string | undefined;
  production: boolean;
}): Promise<DescribedProvider[]> {
  if (path === undefined) return builtInProviders.map(asBuiltIn);
  const file = `INTEGRATIONS_FILE ${path}`;
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new ConfigurationError(`${file} cannot be read (${error.code})`);
  });
  // YAML and the shapes of an entry take a tenth of a start: only those load them who need them.
  const { readIntegrations } = await import('./read.ts');
  return readIntegrations(text, { file, production, builtIn: builtInProviders });
}
