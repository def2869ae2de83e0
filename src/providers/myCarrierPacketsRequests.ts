import { textOf } from './httpFaults.ts';
import type { ProviderRequest, Target } from './provider.ts';

/** Everything is a POST with its parameters in the query, reads too. */
export function read(target: Target, operation: string, parameters: Record<string, string>): ProviderRequest {
  return {
    method: 'POST',
    url: `${target.apiUrl}/api/v1/Carrier/${operation}?${new URLSearchParams(parameters).toString()}`,
    headers: { accept: 'application/json' },
    operation,
    isRead: true,
  };
}

/** Numbers here, text there, and the name in several casings. */
export function dotNumberIn(carrier: Record<string, unknown> | undefined): string | undefined {
  const number = textOf(carrier?.DOTNumber ?? carrier?.DotNumber ?? carrier?.dotNumber);
  return number !== undefined && /^\d{1,12}$/.test(number) ? number : undefined;
}

/** `YYYY-MM-DDTHH:MM:SS`, as the vendor's samples have it. */
export const timeText = (time: Date): string => time.toISOString().slice(0, 19);
