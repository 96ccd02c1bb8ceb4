// Pins and explicit loads with a real daemon: refused, and given up.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { deployModel } from '../../../bench/deploy.ts';
import { GpufaasClient } from '../../../src/client/client.ts';
import { startDaemon } from '../../../src/daemon/daemon.ts';
import { resolveHome } from '../../../src/home.ts';
import { buildNetwork } from '../../../src/onnx/networks.ts';

/** A daemon with functions of one model each: each takes well over half of 52 MB. */
async function setUp(devices: string, names: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'gpufaas-pins-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
  const daemon = await startDaemon({ home, devices, port: 0 });
  onTestFinished(() => daemon.close());
  const token = readFileSync(home.token, 'utf8').trim();
  const client = new GpufaasClient({ url: daemon.url, token });
  for (const [index, name] of names.entries()) {
    const path = join(folder, `${name}.onnx`);
    writeFileSync(path, buildNetwork({ kind: 'mlp', megabytes: 12, seed: index + 1 }).encode());
    await deployModel(daemon.url, home, path, name);
  }
  const pinned = async (): Promise<string[]> =>
    (await client.ps()).devices.flatMap(({ resident }) =>
      resident.filter((model) => model.pinned).flatMap(({ functions }) => functions),
    );
  return { client, pinned, url: daemon.url, token };
}

it(
  'says at once that a second model has no room beside a pinned one, and pins nothing',
  { timeout: 120_000 },
  async () => {
    const { client, pinned } = await setUp('cpu:1@52MB', ['a', 'b']);
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

it('a pin whose caller goes while it waits pins nothing', { timeout: 120_000 }, async () => {
  const { client, pinned, url, token } = await setUp('emulated:1@100MB', ['a']);
  const post = (path: string, body: object, signal?: AbortSignal): Promise<Response> =>
    fetch(`${url}/api/v1/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      ...(signal !== undefined && { signal }),
    });
  const [device] = await client.devices();
  process.kill(device!.pid!, 'SIGSTOP');
  const waiting = post('functions/a/pin', { pinned: true }, AbortSignal.timeout(500));
  await expect(waiting).rejects.toThrow(/abort/);
  // The daemon has heard of it before the load can end.
  await expect.poll(pinned).toEqual([]);
  process.kill(device!.pid!, 'SIGCONT');
  await client.load('a');
  expect(await pinned()).toEqual([]);
  await client.pin('a', true);
  expect(await pinned()).toEqual(['a']);
});
