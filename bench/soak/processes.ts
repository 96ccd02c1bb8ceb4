// What the operating system says of a process and its descendants (Linux): how many there are, their memory, their handles.

import { readdirSync, readFileSync } from 'node:fs';

/** One look at a daemon and everything it started; memory in bytes. */
export interface Footprint {
  readonly daemonBytes: number;
  readonly allBytes: number;
  readonly handles: number;
  readonly processes: number;
}

/** Looks at a process and its descendants. */
export function footprint(pid: number): Footprint {
  const family = [pid, ...descendants(pid)];
  return {
    daemonBytes: residentBytes(pid),
    allBytes: family.reduce((sum, each) => sum + residentBytes(each), 0),
    handles: readdirSync(`/proc/${pid}/fd`).length,
    processes: family.length,
  };
}

/** Every living process that descends from `root`, in no order. */
export function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const parent = /^\d+$/.test(name) ? livingParent(name) : null;
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found: number[] = [];
  for (const queue = [root]; queue.length > 0;) {
    const next = children.get(queue.pop()!) ?? [];
    found.push(...next);
    queue.push(...next);
  }
  return found;
}

/** The parent of a process that lives and is no zombie; null of any other. */
function livingParent(pid: string): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in brackets may hold anything; what follows it does not.
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? null : Number(parent);
  } catch {
    return null;
  }
}

function residentBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * 4096;
  } catch {
    return 0;
  }
}
