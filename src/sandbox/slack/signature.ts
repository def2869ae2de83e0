import { createHmac } from 'node:crypto';

/** `X-Slack-Signature` (docs.slack.dev, "Verifying requests from Slack"). The timestamp is in seconds. */
export function signatureOf(signingSecret: string, timestamp: number, body: string): string {
  return `v0=${createHmac('sha256', signingSecret).update(`v0:${timestamp}:${body}`).digest('hex')}`;
}
