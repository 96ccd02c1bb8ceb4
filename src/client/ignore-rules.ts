// Which files of a function's folder stay at home: what .gpufaasignore names, and what never belongs to a function.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Left behind by package managers, git, editors and training. */
const ALWAYS = [
  'node_modules/',
  '.git/',
  '/training/',
  '.DS_Store',
  '*.swp',
  '*~',
  '.gpufaasignore',
  '__pycache__/',
  '.venv/',
];

/** Says of a path inside the folder (forward slashes; a folder ends in one) whether it stays at home. */
export type Ignores = (path: string) => boolean;

/** The rules of a folder as they are now. */
export async function readIgnoreRules(folder: string): Promise<Ignores> {
  const { default: ignore } = await import('ignore');
  const own = await readFile(join(folder, '.gpufaasignore'), 'utf8').catch(() => '');
  const rules = ignore().add(ALWAYS).add(own);
  return (path) => rules.ignores(path);
}
