// The JSON schema of function.yaml, made from the same description that checks it; editors complete from it.

import { z } from 'zod';
import { manifestSchema } from './manifest.ts';

/** The text of schema/function.schema.json. */
export function manifestJsonSchema(): string {
  const { $schema, ...rest } = z.toJSONSchema(manifestSchema, { io: 'input' });
  return `${JSON.stringify({ $schema, title: 'function.yaml of gpufaas', ...rest }, null, 2)}\n`;
}
