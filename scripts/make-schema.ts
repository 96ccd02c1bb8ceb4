// Writes schema/function.schema.json. Run it after a change to the manifest: node scripts/make-schema.ts

import { mkdirSync, writeFileSync } from 'node:fs';
import { manifestJsonSchema } from '../src/functions/manifest-schema.ts';

const folder = new URL('../schema/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL('function.schema.json', folder), manifestJsonSchema());
