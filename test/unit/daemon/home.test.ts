import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acquireInstanceLock } from '../../../src/daemon/lock.ts';
import { obtainToken } from '../../../src/daemon/token.ts';
import { createHome, resolveHome, type Home } from '../../../src/home.ts';

let home: Home;
beforeEach(() => {
  home = resolveHome({ GPUFAAS_HOME: mkdtempSync(join(tmpdir(), 'gpufaas-home-')) });
  createHome(home);
});
afterEach(() => rmSync(home.root, { recursive: true, force: true }));

const LOCK_MODULE = new URL('../../../src/daemon/lock.ts', import.meta.url).href;
const HOLDER = `import { acquireInstanceLock } from ${JSON.stringify(LOCK_MODULE)};
  acquireInstanceLock(JSON.parse(process.argv[1])); console.log('held'); setInterval(() => {}, 1000);`;

describe('the instance lock', () => {
  it('is held against another process and gone when that process is killed', async () => {
    const holder = spawn(process.execPath, ['--input-type=module', '-e', HOLDER, JSON.stringify(home)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    writeFileSync(
      home.daemonFile,
      JSON.stringify({ pid: holder.pid, url: 'http://127.0.0.1:1', version: '0', startedAt: '' }),
    );
    expect(() => acquireInstanceLock(home)).toThrow(`pid ${holder.pid}`);
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    const lock = acquireInstanceLock(home);
    lock.release();
  });
});

describe('the token', () => {
  it('is made once, for its owner alone', () => {
    const token = obtainToken(home);
    expect(token).toMatch(/^[0-9a-f]{64}$/);
    expect(obtainToken(home)).toBe(token);
    expect(statSync(home.token).mode & 0o777).toBe(0o600);
  });

  it('is made anew when the file is damaged', () => {
    writeFileSync(home.token, 'x');
    expect(obtainToken(home)).toMatch(/^[0-9a-f]{64}$/);
  });
});
