// The port a daemon takes when nobody asked for one.

import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { startDaemon } from '../../src/daemon/daemon.ts';
import { DEFAULT_PORT } from '../../src/daemon/listen.ts';
import { resolveHome } from '../../src/home.ts';

it('is the default one, or a free one if that is taken; a port that was asked for is never another', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpufaas-port-'));
  const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
  const other = createServer();
  // If the port is taken by something else already, that does as well, unless it is about to go.
  for (let tries = 0; !other.listening && tries < 20; tries++) {
    const taken = once(other, 'listening').catch(() => sleep(100));
    other.listen(DEFAULT_PORT, '127.0.0.1');
    await taken;
  }
  try {
    const asked = startDaemon({ home, devices: 'emulated:1@1GB', port: DEFAULT_PORT });
    await expect(asked).rejects.toMatchObject({ code: 'PORT_TAKEN' });
    const daemon = await startDaemon({ home, devices: 'emulated:1@1GB' });
    const port = Number(new URL(daemon.url).port);
    await daemon.close();
    expect(port).toBeGreaterThan(1023);
    expect(port).not.toBe(DEFAULT_PORT);
    expect(existsSync(home.logs)).toBe(true);
    const log = readdirSync(home.logs).map((name) => readFileSync(join(home.logs, name), 'utf8'));
    expect(log.join('')).toContain('the default port is taken');
  } finally {
    other.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
