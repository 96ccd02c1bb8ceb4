// A file that holds nothing but room: on a full disk it is given up, so that what makes room, or takes little, can still be
// written. Made again as soon as the disk has room for it.

import { randomBytes } from 'node:crypto';
import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { GpufaasError } from '../errors.ts';

/** More than a small transaction needs in the write-ahead log, less than anybody misses. */
const RESERVE_BYTES = 512 * 1024;

/** Room on the disk under a home. */
export interface DiskReserve {
  /** Does a small write; where the disk is full for it, once more with the room of the reserve. */
  spend<T>(write: () => T): T;
  /** Makes the reserve if it is not there; on a disk that is nearly full it stays away. */
  keep(): void;
}

/** A reserve in the file at `path`. */
export function createDiskReserve(path: string, bytes = RESERVE_BYTES): DiskReserve {
  let isThere = existsSync(path);
  const keep = (): void => {
    if (isThere) return;
    try {
      const { bavail, bsize } = statfsSync(dirname(path));
      // Not the last of it: others would meet a full disk because of us.
      if (bavail * bsize < 4 * bytes) return;
      // Bytes that no file system can make smaller.
      writeFileSync(path, randomBytes(bytes), { mode: 0o600 });
      isThere = true;
    } catch {
      rmSync(path, { force: true });
    }
  };
  return {
    keep,
    spend(write) {
      try {
        return write();
      } catch (error) {
        if (!isThere || !(error instanceof GpufaasError) || error.code !== 'DISK_FULL') throw error;
        rmSync(path, { force: true });
        isThere = false;
        return write();
      } finally {
        keep();
      }
    },
  };
}
