import { z } from 'zod';
import { entryShape, overrideShape } from './schema.ts';

/** Of JSON Schema, what is walked here. */
export interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema | false;
  items?: JsonSchema;
}

const anywhere = { production: false, allowPrivateNetwork: true };
const inJson = (shape: z.ZodType) => z.toJSONSchema(shape, { target: 'draft-7', io: 'input' });
const { $schema, ...entry } = inJson(entryShape(anywhere));
const { $schema: _, ...override } = inJson(overrideShape(anywhere));

export const entrySchema = entry as JsonSchema;
export const overrideSchema = override as JsonSchema;

/** For editors: the whole file. @param builtIn ids of the built-in integrations */
export function jsonSchemaOf(builtIn: readonly string[]): object {
  return {
    $schema,
    title: 'Integrations, for INTEGRATIONS_FILE',
    type: 'object',
    properties: {
      integrations: {
        description: `APIs, each described by one entry. One with the id of a built-in one (${builtIn.join(', ')}) changes that.`,
        type: 'array',
        items: {
          if: { properties: { id: { enum: builtIn } }, required: ['id'] },
          // oxlint-disable-next-line unicorn/no-thenable -- a word of JSON Schema
          then: override,
          else: entry,
        },
      },
    },
    required: ['integrations'],
    additionalProperties: false,
  };
}
