// Tells when what was packed has changed, by looking at it again and again: a file that an editor renames over another is
// lost to the system's own notices. Editors save in several steps, so a change is told once all has been quiet.

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readIgnoreRules } from './ignore-rules.ts';
import type { Package } from './pack.ts';

const LOOK_EVERY_MS = 400;
const QUIET_MS = 80;
/** Looking at a very large folder takes at most this share of the time. */
const LARGEST_SHARE = 0.2;
/** More than a package may hold. */
const MAX_ENTRIES = 50_000;

/** Yields at once, then after every change of what would be packed; ends when the signal fires. */
export async function* watchPackage(packed: Package, signal: AbortSignal): AsyncGenerator<void> {
  let known = await look(packed);
  for (;;) {
    yield;
    for (let changed = false, waitMs = LOOK_EVERY_MS; ;) {
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      const startedAtMs = performance.now();
      const now = await look(packed);
      const tookMs = performance.now() - startedAtMs;
      const quiet = now === known;
      if (quiet && changed) break;
      changed ||= !quiet;
      known = now;
      waitMs = Math.max(changed ? QUIET_MS : LOOK_EVERY_MS, tookMs / LARGEST_SHARE);
    }
  }
}

/** What is there now, as a text to compare: of each file its path, time, size and inode. */
async function look(packed: Package): Promise<string> {
  // A bare model is itself and its weights; anything may lie beside it.
  const paths = packed.kind === 'folder' ? await list(packed.folder) : packed.files.map((file) => file.path);
  const lines: string[] = [];
  for (const path of paths) {
    const found = await stat(join(packed.folder, path), { bigint: true }).catch(() => null);
    lines.push(found === null ? `${path} gone` : `${path} ${found.mtimeNs} ${found.size} ${found.ino}`);
  }
  return lines.join('\n');
}

/** The files of a folder that the ignore rules leave, and the rules themselves. What goes away meanwhile is left out. */
async function list(folder: string): Promise<string[]> {
  const ignores = await readIgnoreRules(folder);
  const files = ['.gpufaasignore'];
  const pending = [''];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    const entries = await readdir(join(folder, at), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const path = `${at}${entry.name}`;
      const isFolder = entry.isDirectory();
      if (ignores(isFolder ? `${path}/` : path)) continue;
      if (isFolder) pending.push(`${path}/`);
      else files.push(path);
    }
    if (files.length + pending.length > MAX_ENTRIES) break;
  }
  return files.toSorted();
}
