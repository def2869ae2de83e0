import type { Arguments } from './arguments.ts';
import type { Bearer, Installations } from './installations.ts';
import type { Limits, Tier } from './limits.ts';
import type { SlackSettings } from './settings.ts';
import type { Workspace } from './workspace.ts';

/** A call that was let in: who calls, and where. */
export interface Call {
  args: Arguments;
  bearer: Bearer;
  workspace: Workspace;
  settings: SlackSettings;
  installations: Installations;
  limits: Limits;
  /** Throws `missing_scope`. */
  need(scope: string): void;
}

export interface Method {
  /** Absent: the method counts by itself. */
  tier?: Tier;
  /** Bodies may be JSON. */
  writes?: boolean;
  /** Any one of these; `x-accepted-oauth-scopes`. None are needed where it is empty. */
  scopes: readonly string[];
  /** Which of `scopes` this call needs, all of them; default: any one. */
  needs?(args: Arguments): string[];
  /** The answer, but for `ok`. */
  run(call: Call): Record<string, unknown>;
}
