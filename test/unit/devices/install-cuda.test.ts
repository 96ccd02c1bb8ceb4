// Installing the CUDA libraries, with install scripts of our own in place of the package's.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { installCuda } from '../../../src/devices/install-cuda.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpufaas-test-'));
  mkdirSync(join(folder, 'script'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const libraries = (): string => join(folder, 'bin', 'napi-v6', process.platform, process.arch);
const script = (source: string): void => writeFileSync(join(folder, 'script', 'install.js'), source);
const INSTALL = (): string =>
  `if (process.env.ONNXRUNTIME_NODE_INSTALL !== 'cuda12') process.exit(1);
   require('fs').mkdirSync(${JSON.stringify(libraries())}, { recursive: true });
   for (const name of ['cuda', 'shared'])
     require('fs').writeFileSync(${JSON.stringify(libraries())} + '/libonnxruntime_providers_' + name + '.so', '');`;

describe('installing the CUDA libraries', () => {
  it('runs the script of the package once', async () => {
    script(INSTALL());
    expect(await installCuda({ folder, supported: true })).toBe(true);
    script('process.exit(1)');
    expect(await installCuda({ folder, supported: true })).toBe(false);
    script(INSTALL());
    expect(await installCuda({ folder, supported: true, force: true })).toBe(true);
  });

  it.each([
    ["throw new Error('getaddrinfo ENOTFOUND somewhere')", 'UNREACHABLE', /can not be reached/],
    ["throw new Error('Failed to download from x. HTTP status code = 503')", 'UNREACHABLE', /can not be reached/],
    ["throw new Error('unexpected content type: text/html')", 'UNREACHABLE', /can not be reached/],
    ['throw new Error("ENOENT: no such file or directory, unlink \'/tmp/x/a.nupkg\'")', 'UNREACHABLE', /can not be/],
    [
      "throw new Error('Failed to open NuGet package: ADM-ZIP: Invalid or unsupported zip format.')",
      'UNREACHABLE',
      /can not be reached/,
    ],
    ["throw new Error('EACCES: permission denied, mkdir')", 'NO_DEVICE', /can not be written/],
    ["throw new Error('ENOSPC: no space left on device')", 'DISK_FULL', /not enough room/],
    ["throw new Error('Manifest not found')", 'NO_DEVICE', /could not be installed: .*Manifest not found/],
    ['', 'NO_DEVICE', /libraries are not there/],
  ])('that fails by %s says why', async (source, code, message) => {
    script(source);
    await expect(installCuda({ folder, supported: true })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('is told of the proxy under the name it knows', async () => {
    vi.stubEnv('HTTPS_PROXY', 'http://proxy:3128');
    script(`if (process.env.GLOBAL_AGENT_HTTPS_PROXY !== 'http://proxy:3128') process.exit(1); ${INSTALL()}`);
    expect(await installCuda({ folder, supported: true })).toBe(true);
    vi.unstubAllEnvs();
  });

  it('counts as undone when it was cut off between two files', async () => {
    mkdirSync(libraries(), { recursive: true });
    writeFileSync(join(libraries(), 'libonnxruntime_providers_cuda.so'), '');
    script(INSTALL());
    expect(await installCuda({ folder, supported: true })).toBe(true);
  });

  it('ends the script when it takes too long or is given up', async () => {
    script('setInterval(() => {}, 1000)');
    await expect(installCuda({ folder, supported: true, limitMs: 300 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    await expect(installCuda({ folder, supported: true, signal: AbortSignal.timeout(300) })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
  });

  it('is refused where there are none for the platform', async () => {
    script(INSTALL());
    await expect(installCuda({ folder, supported: false })).rejects.toMatchObject({ code: 'NOT_IMPLEMENTED' });
    expect(existsSync(libraries())).toBe(false);
  });
});
