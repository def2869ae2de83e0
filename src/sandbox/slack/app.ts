/** The one app that is installed into the emulated workspaces. Everybody may know it: it opens nothing but made-up talk. */
export const app = {
  id: 'A07SANDBOX1',
  name: 'Freight Desk Sync',
  /** Of its bot user. */
  userName: 'freight_desk_sync',
  clientId: '7312485519042.7318849920113',
  clientSecret: '5ab0c0ffee5a4db0c5ec4e7f4e1d2b90',
  signingSecret: '0f1e2d3c4b5a69788796a5b4c3d2e1f0',
  /** The deprecated `token` in what is sent to the app. */
  verificationToken: 'SandboxVerificationToken',
} as const;
