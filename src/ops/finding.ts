/** One line of the doctor's. */
export interface Finding {
  check: string;
  level: 'ok' | 'WARN' | 'FAIL';
  message: string;
  /** What to do about it. */
  cure?: string;
}

export const ok = (check: string, message: string): Finding => ({ check, level: 'ok', message });
export const warn = (check: string, message: string, cure: string): Finding => ({
  ...{ check, level: 'WARN', message },
  cure,
});
export const fail = (check: string, message: string, cure: string): Finding => ({
  ...{ check, level: 'FAIL', message },
  cure,
});
