import type { IntegrationProblem } from '../errors.ts';
import type { StoredProblem } from './tables.ts';

/** A problem as its column has it, and back: JSON has no dates. */
export function toStored(cause: IntegrationProblem | null): string | null {
  return cause && JSON.stringify(cause);
}

/** The same for a column of JSON that holds more. */
export function toStoredProblem(cause: IntegrationProblem): StoredProblem {
  return { ...cause, occurredAt: cause.occurredAt.toISOString() };
}

export function fromStored(stored: StoredProblem | null): IntegrationProblem | null {
  return stored && { ...stored, occurredAt: new Date(stored.occurredAt) };
}
