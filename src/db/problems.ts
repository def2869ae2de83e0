import type { IntegrationProblem } from '../errors.ts';
import type { StoredProblem } from './tables.ts';

/** A problem as its column has it, and back: JSON has no dates. */
export function toStored(cause: IntegrationProblem | null): string | null {
  return cause && JSON.stringify(cause);
}

export function fromStored(stored: StoredProblem | null): IntegrationProblem | null {
  return stored && { ...stored, occurredAt: new Date(stored.occurredAt) };
}
