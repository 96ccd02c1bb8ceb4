// The jail: which relative paths may name something inside a function's folder. The same rule for what a manifest
// names, what an archive holds and what a model refers to.

import { lstatSync, realpathSync } from 'node:fs';
import { join, sep } from 'node:path';

const MAX_PATH_BYTES = 1024;
const MAX_NAME_BYTES = 255;
/** Names that Windows gives to devices, whatever follows the dot. */
const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$/i;
/** Controls, and characters that change the direction of text or are not seen. */
// eslint-disable-next-line no-control-regex
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/;

/** Why a relative path may not be used, as the end of a sentence ("it …"), or null if it may. */
export function pathProblem(path: string): string | null {
  if (path === '') return 'is empty';
  if (UNSEEN.test(path)) return 'holds characters that are not printable';
  if (!path.isWellFormed()) return 'is not well-formed Unicode';
  if (path.includes('\\')) return 'holds a backslash; separate folders by /';
  if (path.startsWith('/') || /^[a-z]:/i.test(path)) return 'is absolute; paths are relative to the function folder';
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `is longer than ${MAX_PATH_BYTES} bytes`;
  for (const name of path.split('/')) {
    // A look-alike of `..` or `/` (full-width forms, one-dot leaders) becomes the real thing when normalized.
    const plain = name.normalize('NFKC');
    if (name === '..' || plain === '..') return 'leads outside the function folder';
    if (name === '' || name === '.') return 'is not in its shortest form';
    if (plain.includes('/') || plain.includes('\\')) return 'holds a look-alike of a separator';
    if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `has a name longer than ${MAX_NAME_BYTES} bytes`;
    if (/[<>:"|?*]/.test(name) || /[. ]$/.test(name)) return 'holds a name that not every system can store';
    if (RESERVED.test(name)) return 'holds a name that Windows reserves';
  }
  return null;
}

/** The absolute path of a file inside the folder, through no link; or null if it is not an ordinary file there. */
export function fileInside(folder: string, path: string): string | null {
  if (pathProblem(path) !== null) return null;
  const full = join(folder, path);
  try {
    if (!lstatSync(full).isFile()) return null;
    return realpathSync(full).startsWith(realpathSync(folder) + sep) ? full : null;
  } catch {
    return null;
  }
}
