// A folder whose files lie in memory and nowhere else (tmpfs), for one daemon at a time: made with a name that nobody can
// guess, removed at the end; what a killed daemon of the same home left is removed at the next start.

import { createHash } from 'node:crypto';
import { lstatSync, mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

/** Linux's own number for tmpfs in `statfs`. */
const TMPFS = 0x01021994;
const SHARED_MEMORY = '/dev/shm';

/** How many bytes files in memory could take now; null where the system has no such place. */
export function memoryFolderRoom(place: string = SHARED_MEMORY): number | null {
  if (process.platform !== 'linux') return null;
  try {
    const { type, bavail, bsize } = statfsSync(place);
    return type === TMPFS ? bavail * bsize : null;
  } catch {
    return null;
  }
}

function prefixOf(home: string): string {
  return `gpufaas-${createHash('sha256').update(home).digest('hex').slice(0, 12)}-`;
}

/** Makes the folder of a home. The caller holds the home's lock: leftovers are nobody's. Throws what the system says. */
export function makeMemoryFolder(home: string, place: string = SHARED_MEMORY): string {
  const prefix = prefixOf(home);
  for (const name of readdirSync(place)) {
    const path = join(place, name);
    // Anybody may write there: only what is ours is touched.
    if (name.startsWith(prefix) && lstatSync(path, { throwIfNoEntry: false })?.uid === process.getuid?.()) {
      rmSync(path, { recursive: true, force: true });
    }
  }
  return mkdtempSync(join(place, prefix));
}
