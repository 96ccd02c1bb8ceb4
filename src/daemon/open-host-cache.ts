// Decides how much host memory is kept for models of copying devices, and where.

import { ownsMemory, type Device } from '../devices/types.ts';
import { freeMemory } from '../devices/host-memory.ts';
import { HostCache } from '../models/host-cache.ts';
import { makeMemoryFolder, memoryFolderRoom } from '../models/memory-folder.ts';

/** What opening depends on. */
export interface HostCacheSettings {
  readonly devices: readonly Device[];
  /** Identifies the daemon's folder in memory. */
  readonly home: string;
  /** As asked for; absent: a share of what is free where a device copies models; 0: none. */
  readonly budgetBytes?: number | undefined;
  readonly onChange: (key: string, cached: boolean) => void;
  readonly onNotice: (message: string, details: Readonly<Record<string, unknown>>) => void;
}

/** CPU devices and whatever else runs here need the rest. */
const FREE_SHARE = 0.25;
/** Of what files in memory may take at all: others use that place too. */
const ROOM_SHARE = 0.9;

/** The cache, or null where there is nothing to keep or nowhere to keep it. */
export function openHostCache(settings: HostCacheSettings): HostCache | null {
  const { devices, home, budgetBytes: asked, onChange, onNotice } = settings;
  const copies = devices.some(ownsMemory);
  const emulates = devices.some(({ kind }) => kind === 'emulated');
  if (asked === 0 || (!copies && (asked === undefined || !emulates))) return null;
  if (!copies) return new HostCache({ budgetBytes: asked!, folder: null, onChange, onNotice });
  const room = memoryFolderRoom();
  if (room === null) {
    if (asked !== undefined) onNotice('there is no host cache: this system has no file system in memory', {});
    return null;
  }
  const most = Math.floor(ROOM_SHARE * room);
  const wanted = asked ?? Math.floor(FREE_SHARE * freeMemory());
  if (asked !== undefined && asked > most) {
    onNotice('the host cache is smaller than asked for: files in memory (/dev/shm) may not take more', {
      askedBytes: asked,
      budgetBytes: most,
    });
  }
  try {
    return new HostCache({ budgetBytes: Math.min(wanted, most), folder: makeMemoryFolder(home), onChange, onNotice });
  } catch (error) {
    onNotice('there is no host cache: its folder can not be made', { error: String(error) });
    return null;
  }
}
