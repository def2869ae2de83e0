/** Of a package without types, what `oidcProvider.ts` uses. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http';

  interface Context {
    path: string;
    body: unknown;
    oidc: { params?: { grant_type?: string } };
  }
  interface StoredToken {
    accountId: string;
    isExpired: boolean;
  }
  export class Provider {
    constructor(issuer: string, configuration: object);
    callback(): (request: IncomingMessage, response: ServerResponse) => void;
    use(middleware: (ctx: Context, next: () => Promise<void>) => Promise<void>): this;
    on(event: 'grant.success' | 'grant.error' | 'grant.revoked', listener: (ctx: Context) => void): this;
    AccessToken: { find(value: string): Promise<StoredToken | undefined> };
  }
}
