// How much memory this machine, or the cgroup that we live in, has free: what could be used without pushing others out.

import { readFileSync } from 'node:fs';
import { availableParallelism, freemem } from 'node:os';
import { join } from 'node:path';

/** Where Linux tells these things; another root in tests. */
export interface MemorySources {
  readonly proc: string;
  readonly cgroup: string;
}

const LINUX: MemorySources = { proc: '/proc', cgroup: '/sys/fs/cgroup' };

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** A number in a file of its own; null for `max` and for what is not there. */
function readNumber(path: string): number | null {
  const text = read(path)?.trim();
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
}

function field(text: string | null, pattern: RegExp): number {
  return Number(text === null ? 0 : (pattern.exec(text)?.[1] ?? 0));
}

/** What one cgroup still allows; page cache it could drop counts as free. Null if it sets no limit. */
function cgroupFree(folder: string, names: { limit: string; usage: string; cache: RegExp }): number | null {
  const limit = readNumber(join(folder, names.limit));
  const usage = readNumber(join(folder, names.usage));
  if (limit === null || usage === null) return null;
  return Math.max(0, limit - (usage - field(read(join(folder, 'memory.stat')), names.cache)));
}

const V2 = { limit: 'memory.max', usage: 'memory.current', cache: /^inactive_file (\d+)$/m };
const V1 = { limit: 'memory.limit_in_bytes', usage: 'memory.usage_in_bytes', cache: /^total_inactive_file (\d+)$/m };

/** Bytes free on this machine and in every cgroup around this process, whichever is least. */
export function freeMemory(sources: MemorySources = LINUX): number {
  const available = field(read(join(sources.proc, 'meminfo')), /^MemAvailable:\s+(\d+) kB$/m) * 1024;
  const candidates = [available > 0 ? available : freemem()];
  for (const line of (read(join(sources.proc, 'self/cgroup')) ?? '').split('\n')) {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    if (match === null) continue;
    const version = match[1] === '' ? V2 : match[1]!.split(',').includes('memory') ? V1 : null;
    if (version === null) continue;
    const base = version === V1 ? join(sources.cgroup, 'memory') : sources.cgroup;
    // Inside a container the path may be the host's; the mount's own root then holds the limit.
    const segments = match[2]!.split('/').filter((segment) => segment !== '' && segment !== '..');
    for (let depth = segments.length; depth >= 0; depth--) {
      const free = cgroupFree(join(base, ...segments.slice(0, depth)), version);
      if (free !== null) candidates.push(free);
    }
  }
  return Math.min(...candidates);
}

/** Cores this process may use. */
export function coreCount(): number {
  return Math.max(1, availableParallelism());
}
