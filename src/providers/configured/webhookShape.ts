import { z } from 'zod';
import { choice, count, path, word } from './forms.ts';

/** What may be said of webhooks: how they are signed, and what their bodies say. */

const verifier = z
  .strictObject({
    scheme: choice('standard', 'github', 'stripe', 'hmac').describe(
      'Standard Webhooks, as GitHub or Stripe sign, or what the members below say.',
    ),
    header: z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9-]*$/, 'must be a header name')
      .optional()
      .describe('Has the signature.'),
    prefix: z.string().optional().describe('Before the signature, e.g. `sha256=`.'),
    algo: choice('sha256', 'sha512', 'sha1').optional().describe('Default: sha256.'),
    encoding: choice('hex', 'base64').optional().describe('Default: hex.'),
    secretEncoding: choice('utf8', 'base64')
      .optional()
      .describe('What the secret is written in. Default: utf8.'),
    signedTemplate: z
      .string()
      .optional()
      .describe('What is signed, of `{ts}`, `{id}` and `{body}`. Default: `{body}`.'),
    timestampHeader: word.optional().describe('Has the time of sending, in seconds since 1970.'),
    toleranceSec: count.optional().describe('How far the timestamp may be from now. Default: 300.'),
    idHeader: word.optional().describe('Names the delivery, the same at each retry.'),
  })
  .describe('How deliveries are signed.');

export const webhook = z
  .strictObject({
    verifier,
    secretOf: choice('application', 'connection')
      .default('application')
      .describe(
        'Whose secret signs: the application’s, from `<ID>_WEBHOOK_SECRETS`, or each connection’s own.',
      ),
    itemsPath: path
      .optional()
      .describe(
        'Where the body has a list of events; all paths below are then inside of each. Default: the body.',
      ),
    tenantIdPath: path.optional().describe('Where the body names the external account.'),
    eventIdPath: path
      .optional()
      .describe('Where it names the event, the same at each retry. Default: a hash of the body.'),
    timePath: path.optional().describe('Where it says when that happened.'),
    typePath: path.optional().describe('Where it names the kind of event.'),
    events: z
      .array(
        z.strictObject({
          type: word.describe('As it stands at typePath.'),
          resource: word.describe('One of `resources`.'),
          idPath: path.describe('Where the event names the record.'),
          deleted: z.boolean().default(false).describe('The record is gone.'),
        }),
      )
      .default([])
      .describe(
        'What is about one record; others are passed over. Without any, every delivery means: look what changed.',
      ),
  })
  .describe('How changes are announced to us.');

export type Webhook = z.output<typeof webhook>;
