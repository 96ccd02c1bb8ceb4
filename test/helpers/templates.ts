// The templates as functions under test: the handler in its own process, the models in a worker.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { testFunction } from '../../src/testing.ts';
import type { TestedFunction } from '../../src/testing.ts';

/** Starts templates/NAME; close it when done. */
export function startTemplate(name: string): Promise<TestedFunction> {
  return testFunction(folderOf(name));
}

/** The bytes of a file of templates/NAME. */
export function templateFile(name: string, path: string): Buffer {
  return readFileSync(`${folderOf(name)}/${path}`);
}

function folderOf(name: string): string {
  return fileURLToPath(new URL(`../../templates/${name}`, import.meta.url));
}
