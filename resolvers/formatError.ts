import { unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import type { Clock } from '../src/clock.ts';
import { IntegrationError } from '../src/errors.ts';
import type { Log } from '../src/log.ts';

/** What a refusal says besides its code. */
const tellable = ['providerCalls', 'remaining', 'resetsAt', 'retryAfterSeconds'];
const told = (extensions: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(extensions).filter(([name]) => tellable.includes(name)));

/**
 * What leaves as an entry of `errors`: an expected failure with its problem's code, a refusal with its code, and for
 * a bug nothing but a reference to the log line that has the rest.
 */
export function createFormatError(log: Log, clock: Clock) {
  return (formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError => {
    const original = unwrapResolverError(error);
    const { message, locations, path } = formatted;
    const place = { ...(locations && { locations }), ...(path && { path }) };
    if (original instanceof IntegrationError) {
      const { code, actor, retryable, retryAfterSeconds } = original.problem;
      const wait = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
      return { message: original.message, ...place, extensions: { code, actor, retryable, ...wait } };
    }
    const code = formatted.extensions?.code;
    const deliberate =
      original instanceof GraphQLError && code !== undefined && code !== 'INTERNAL_SERVER_ERROR';
    if (deliberate) return { message, ...place, extensions: { code, ...told(formatted.extensions ?? {}) } };
    const reference = clock.randomUUID();
    log.error({ err: original, path, reference }, 'a request failed on a defect of ours');
    return {
      message: `Something went wrong on our side. Reference: ${reference}`,
      ...place,
      extensions: { code: 'INTERNAL_SERVER_ERROR' },
    };
  };
}
