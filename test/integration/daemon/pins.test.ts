// Pins and explicit loads on a device that holds one of the models, with a real daemon.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { deployModel } from '../../../bench/deploy.ts';
import { GpufaasClient } from '../../../src/client/client.ts';
import { startDaemon } from '../../../src/daemon/daemon.ts';
import { resolveHome } from '../../../src/home.ts';
import { buildNetwork } from '../../../src/onnx/networks.ts';

it(
  'says at once that a second model has no room beside a pinned one, and pins nothing',
  { timeout: 120_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gpufaas-pins-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
    const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
    const daemon = await startDaemon({ home, devices: 'cpu:1@40MB', port: 0 });
    onTestFinished(() => daemon.close());
    const client = new GpufaasClient({ url: daemon.url, token: readFileSync(home.token, 'utf8').trim() });
    for (const [index, name] of ['a', 'b'].entries()) {
      const path = join(folder, `${name}.onnx`);
      writeFileSync(path, buildNetwork({ kind: 'mlp', megabytes: 2, seed: index + 1 }).encode());
      await deployModel(daemon.url, home, path, name);
    }
    const pinned = async (): Promise<string[]> =>
      (await client.ps()).devices.flatMap(({ resident }) =>
        resident.filter((model) => model.pinned).flatMap(({ functions }) => functions),
      );
    await client.pin('a', true);
    expect(await pinned()).toEqual(['a']);

    const refusal = {
      code: 'DOES_NOT_FIT',
      message: expect.stringMatching(/^The model needs .* MB; no device has that much beside what is pinned there/),
    };
    const beganAt = performance.now();
    await expect(client.load('b')).rejects.toMatchObject(refusal);
    await expect(client.pin('b', true)).rejects.toMatchObject(refusal);
    expect(performance.now() - beganAt).toBeLessThan(10_000);

    await client.pin('a', false);
    await client.load('b');
    expect(await pinned()).toEqual([]);
  },
);
