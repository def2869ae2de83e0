import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Attempt } from './attempt.ts';
import { sanitized, type Recording } from './sanitize.ts';

/** Whom a request is for, and the names of members that this provider has masked. */
export interface RecordedAs {
  integration: string;
  masked: readonly string[];
}

/**
 * A transport that also writes what providers answer into files, for tests to replay: `<directory>/<integration>/`, one
 * for each request, in which the last answer wins, and one more for each status that is no success. Nothing secret and
 * nobody's personal data is in them (`sanitized`). Only complete answers are kept. A file that cannot be written fails
 * no call.
 * @param directory made where it is missing
 * @param recordedAs by the request's URL; undefined: it is not recorded, for nobody says what is personal in it
 */
export function recorded(
  attempt: Attempt,
  directory: string,
  recordedAs: (url: string) => RecordedAs | undefined,
  onTrouble: (error: unknown) => void = () => undefined,
): Attempt {
  let written: Promise<unknown> = Promise.resolve();
  const write = async (integration: string, recording: Recording) => {
    const folder = join(directory, integration);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, fileOf(recording)), `${JSON.stringify(recording, null, 2)}\n`);
  };
  return {
    async send(request, ...rest) {
      const result = await attempt.send(request, ...rest);
      const as = recordedAs(request.url);
      if (result.kind === 'answered' && as) {
        // One after the other: of two answers to one request the later stays.
        written = written
          .then(() => write(as.integration, sanitized(request, result.response, as.masked)))
          .catch(onTrouble);
      }
      return result;
    },
    async close() {
      await attempt.close();
      await written;
    },
  };
}

/** Readable, and the same for the same request: a recording made again shows in a diff what has changed. */
function fileOf({ request, response }: Recording): string {
  const hash = createHash('sha256').update(JSON.stringify(request)).digest('hex').slice(0, 8);
  const path = request.path.replaceAll(/\W+/g, '-').replaceAll(/^-|-$/g, '');
  const status = response.status >= 200 && response.status < 300 ? '' : `-${response.status}`;
  return `${request.method.toLowerCase()}-${path.slice(0, 80)}-${hash}${status}.json`;
}
