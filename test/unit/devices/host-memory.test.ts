// Free memory as Linux tells it, on made-up file systems.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { freeMemory } from '../../../src/devices/host-memory.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function machine(files: Readonly<Record<string, string>>): { proc: string; cgroup: string } {
  const root = mkdtempSync(join(tmpdir(), 'gpufaas-test-'));
  folders.push(root);
  for (const [path, text] of Object.entries({
    'proc/meminfo': 'MemTotal: 9000000 kB\nMemAvailable:    8000000 kB\n',
    ...files,
  })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return { proc: join(root, 'proc'), cgroup: join(root, 'cgroup') };
}

describe('free memory', () => {
  it('is what the machine has available where no cgroup sets a limit', () => {
    expect(freeMemory(machine({ 'proc/self/cgroup': '0::/\n' }))).toBe(8_192_000_000);
    expect(
      freeMemory(
        machine({ 'proc/self/cgroup': '0::/a\n', 'cgroup/a/memory.max': 'max\n', 'cgroup/a/memory.current': '5' }),
      ),
    ).toBe(8_192_000_000);
  });

  it('is what the tightest cgroup around us allows, page cache counted as free', () => {
    const sources = machine({
      'proc/self/cgroup': '0::/outer/inner\n',
      'cgroup/outer/memory.max': '4000000000\n',
      'cgroup/outer/memory.current': '1500000000\n',
      'cgroup/outer/memory.stat': 'anon 1\ninactive_file 500000000\n',
      'cgroup/outer/inner/memory.max': '6000000000\n',
      'cgroup/outer/inner/memory.current': '1000000000\n',
    });
    expect(freeMemory(sources)).toBe(3_000_000_000);
  });

  it('understands the older hierarchy, and a container that sees only its own root', () => {
    const sources = machine({
      'proc/self/cgroup': '5:cpu:/\n4:memory:/docker/abc\n',
      'cgroup/memory/memory.limit_in_bytes': '2000000000\n',
      'cgroup/memory/memory.usage_in_bytes': '1200000000\n',
      'cgroup/memory/memory.stat': 'inactive_file 9\ntotal_inactive_file 200000000\n',
    });
    expect(freeMemory(sources)).toBe(1_000_000_000);
  });

  it('is positive on this machine', () => {
    expect(freeMemory()).toBeGreaterThan(0);
  });
});
