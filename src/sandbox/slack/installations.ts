import type { Clock } from '../../clock.ts';
import { SlackError } from './errors.ts';
import type { AccessToken, Code, Installation, InstallationsState, TokenLine } from './installation.ts';
import { accessTokenValue, challengeOf, codeValue, hashOf, refreshTokenValue } from './tokenValues.ts';
import type { SlackSettings } from './settings.ts';

export interface IssuedTokens {
  line: TokenLine;
  accessToken: string;
  /** Of a line that rotates. */
  rotation?: { refreshToken: string; expiresInSeconds: number };
}

export interface Install {
  installation: Installation;
  userId: string;
  bot?: IssuedTokens;
  user?: IssuedTokens;
}

/** A token and what it belongs to. */
export interface Bearer {
  installation: Installation;
  line: TokenLine;
  token: AccessToken;
  /** Null where it does not expire. */
  secondsLeft: number | null;
}

export interface InstallationsOptions {
  clock: Clock;
  settings: () => SlackSettings;
  kept: InstallationsState | undefined;
  save: (state: InstallationsState) => void;
  /** Makes the app's bot user in a workspace, or revives it; its id. */
  addBotUser: (teamId: string) => string;
  /** Lines ended, and the whole installation with them where `uninstalled`. */
  ended: (installation: Installation, lines: readonly TokenLine[], uninstalled: boolean) => void;
}

/** Tokens that are remembered of a line, so that a dead one can be told from an unknown one. */
const rememberedTokens = 200;
const dayMs = 86_400_000;

export class Installations {
  readonly #options: InstallationsOptions;
  readonly #codes = new Map<string, Code>();
  readonly #installations: Installation[] = [];
  /** By the hash of an access or refresh token. */
  readonly #owners = new Map<string, { installation: Installation; line: TokenLine }>();

  constructor(options: InstallationsOptions) {
    this.#options = options;
    for (const one of options.kept?.codes ?? []) this.#codes.set(one.hash, one);
    for (const one of options.kept?.installations ?? []) {
      this.#installations.push(one);
      for (const held of one.lines) {
        for (const { hash } of [...held.accessTokens, ...held.refreshTokens])
          this.#owners.set(hash, { installation: one, line: held });
      }
    }
  }

  list(): readonly Installation[] {
    return this.#installations;
  }

  findLive(teamId: string): Installation | undefined {
    return this.#installations.find((one) => one.teamId === teamId && one.endedBy === null);
  }

  issueCode(
    facts: Pick<Code, 'teamId' | 'userId' | 'botScopes' | 'userScopes' | 'redirectUri' | 'codeChallenge'>,
  ): string {
    const value = codeValue(this.#options.clock);
    const expiresAt = this.#now + this.#options.settings().codeLifetimeSeconds * 1000;
    this.#codes.set(hashOf(value), { ...facts, hash: hashOf(value), expiresAt, isUsed: false });
    this.#keep();
    return value;
  }

  /** Installs the app, or adds to what the workspace granted before: scopes only ever grow. */
  exchange(value: string, redirectUri: string | undefined, codeVerifier: string | undefined): Install {
    const found = this.#codes.get(hashOf(value));
    if (!found || found.expiresAt <= this.#now) throw new SlackError('invalid_code');
    if (found.isUsed) throw new SlackError('code_already_used');
    if (found.redirectUri !== redirectUri) throw new SlackError('bad_redirect_uri');
    if (found.codeChallenge !== null && challengeOf(codeVerifier ?? '') !== found.codeChallenge)
      throw new SlackError('invalid_code');
    found.isUsed = true;
    const { teamId, userId, botScopes, userScopes } = found;
    const into = this.findLive(teamId) ?? this.#newInstallation(teamId, userId);
    const install: Install = { installation: into, userId };
    if (botScopes.length > 0) {
      into.botUserId ??= this.#options.addBotUser(teamId);
      install.bot = this.#issue(into, this.#lineFor(into, 'bot', into.botUserId, botScopes));
    }
    if (userScopes.length > 0)
      install.user = this.#issue(into, this.#lineFor(into, 'user', userId, userScopes));
    this.#keep();
    return install;
  }

  refresh(presented: string): { installation: Installation; tokens: IssuedTokens } {
    const hash = hashOf(presented);
    const owner = this.#owners.get(hash);
    const token = owner?.line.refreshTokens.find((one) => one.hash === hash);
    if (!owner || !token || owner.line.isEnded) throw new SlackError('invalid_refresh_token');
    const graceMs = this.#options.settings().refreshGraceSeconds * 1000;
    if (token.usedAt !== null && this.#now >= token.usedAt + graceMs)
      throw new SlackError('invalid_refresh_token');
    token.usedAt ??= this.#now;
    const tokens = this.#issue(owner.installation, owner.line);
    this.#keep();
    return { installation: owner.installation, tokens };
  }

  /** Throws what Slack says of tokens that are not in force. */
  authenticate(accessToken: string): Bearer {
    const hash = hashOf(accessToken);
    const owner = this.#owners.get(hash);
    const token = owner?.line.accessTokens.find((one) => one.hash === hash);
    if (!owner || !token) throw new SlackError('invalid_auth');
    if (owner.installation.endedBy !== null)
      throw new SlackError(owner.line.kind === 'bot' ? 'account_inactive' : 'token_revoked');
    if (owner.line.isEnded || token.isRevoked) throw new SlackError('token_revoked');
    if (token.expiresAt !== null && token.expiresAt <= this.#now) throw new SlackError('token_expired');
    const secondsLeft = token.expiresAt === null ? null : Math.ceil((token.expiresAt - this.#now) / 1000);
    return { ...owner, token, secondsLeft };
  }

  /** `auth.revoke`: of a line that rotates only this token; otherwise the line, since it has no other. */
  revoke({ installation: from, line: held, token }: Bearer): void {
    if (held.rotates) token.isRevoked = true;
    else this.#end(from, [held], 'app');
    this.#keep();
  }

  /** Ends all lines, or those of one user, as somebody in the workspace can. */
  revokeLines(teamId: string, userId?: string): number {
    const from = this.findLive(teamId);
    const lines = from?.lines.filter((one) => !one.isEnded && (userId ?? one.userId) === one.userId) ?? [];
    if (from && lines.length > 0) this.#end(from, lines, 'user');
    return lines.length;
  }

  uninstall(from: Installation, by: NonNullable<Installation['endedBy']>): void {
    from.endedBy = by;
    this.#end(
      from,
      from.lines.filter((one) => !one.isEnded),
      by,
    );
  }

  /** Those that can expire, of one workspace or of all. Returns how many did. */
  expireAccessTokens(teamId?: string): number {
    const expired = this.#installations
      .filter((one) => (teamId ?? one.teamId) === one.teamId)
      .flatMap(({ lines }) => lines.flatMap(({ accessTokens }) => accessTokens))
      .filter(({ expiresAt }) => expiresAt !== null && expiresAt > this.#now);
    for (const token of expired) token.expiresAt = this.#now;
    this.#keep();
    return expired.length;
  }

  #newInstallation(teamId: string, installedBy: string): Installation {
    const made: Installation = {
      id: this.#options.clock.randomUUID(),
      teamId,
      botUserId: null,
      installedBy,
      installedAt: this.#now,
      endedBy: null,
      lines: [],
    };
    this.#installations.push(made);
    return made;
  }

  #lineFor(
    into: Installation,
    kind: TokenLine['kind'],
    userId: string,
    scopes: readonly string[],
  ): TokenLine {
    const { tokenRotation, reinstall } = this.#options.settings();
    const before = into.lines.find((one) => one.kind === kind && one.userId === userId && !one.isEnded);
    const granted = [...new Set([...(before?.scopes ?? []), ...scopes])];
    for (const one of into.lines) if (one.kind === kind && one.userId === userId) one.scopes = granted;
    if (before && before.rotates === tokenRotation && reinstall === 'joins-line') return before;
    const made: TokenLine = {
      id: this.#options.clock.randomUUID(),
      kind,
      userId,
      scopes: granted,
      rotates: tokenRotation,
      isEnded: false,
      accessTokens: [],
      refreshTokens: [],
    };
    into.lines.push(made);
    return made;
  }

  #issue(from: Installation, into: TokenLine): IssuedTokens {
    const { clock, settings } = this.#options;
    const { accessTokenLifetimeSeconds, activeAccessTokens } = settings();
    const accessToken = accessTokenValue(clock, into.kind, into.rotates);
    const expiresAt = into.rotates ? this.#now + accessTokenLifetimeSeconds * 1000 : null;
    this.#remember(from, into, into.accessTokens, { hash: hashOf(accessToken), expiresAt, isRevoked: false });
    if (!into.rotates) return { line: into, accessToken };
    const isActive = (one: AccessToken) => !one.isRevoked && (one.expiresAt ?? Infinity) > this.#now;
    for (const one of into.accessTokens.filter(isActive).slice(0, -activeAccessTokens)) one.isRevoked = true;
    const refreshToken = refreshTokenValue(clock);
    this.#remember(from, into, into.refreshTokens, { hash: hashOf(refreshToken), usedAt: null });
    return {
      line: into,
      accessToken,
      rotation: { refreshToken, expiresInSeconds: accessTokenLifetimeSeconds },
    };
  }

  #remember<T extends { hash: string }>(from: Installation, owner: TokenLine, tokens: T[], made: T): void {
    tokens.push(made);
    this.#owners.set(made.hash, { installation: from, line: owner });
    for (const { hash } of tokens.splice(0, tokens.length - rememberedTokens)) this.#owners.delete(hash);
  }

  #end(from: Installation, lines: readonly TokenLine[], by: NonNullable<Installation['endedBy']>): void {
    for (const one of lines) one.isEnded = true;
    if (from.lines.every((one) => one.isEnded)) from.endedBy ??= by;
    this.#keep();
    this.#options.ended(from, lines, from.endedBy !== null);
  }

  get #now(): number {
    return this.#options.clock.now();
  }

  #keep(): void {
    for (const [hash, one] of this.#codes) if (one.expiresAt < this.#now - dayMs) this.#codes.delete(hash);
    this.#options.save({ installations: [...this.#installations], codes: [...this.#codes.values()] });
  }
}
