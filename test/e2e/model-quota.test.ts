import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { deployModel } from '../../bench/deploy.ts';
import { GpufaasClient } from '../../src/client/client.ts';
import { startDaemon } from '../../src/daemon/daemon.ts';
import { resolveHome } from '../../src/home.ts';
import { buildNetwork } from '../../src/onnx/networks.ts';
import { openDatabase } from '../../src/store/database.ts';
import { createFunctionStore } from '../../src/store/functions.ts';

const model = (seed: number, megabytes = 2): Uint8Array => buildNetwork({ kind: 'mlp', megabytes, seed }).encode();

async function serveModels(models: Readonly<Record<string, Uint8Array>>): Promise<string> {
  const server = createServer((request, response) => response.end(models[request.url!.slice(1)])).listen(
    0,
    '127.0.0.1',
  );
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it('keeps the model store within its quota, at the cost of what no function uses', { timeout: 120_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpufaas-quota-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
  const daemon = await startDaemon({ home, devices: 'cpu:1@300MB', port: 0, modelQuotaBytes: 5e6 });
  onTestFinished(() => daemon.close());
  const client = new GpufaasClient({ url: daemon.url, token: readFileSync(home.token, 'utf8').trim() });
  const url = await serveModels({ a: model(1), b: model(2), c: model(3), large: model(4, 4) });
  const pull = async (name: string): Promise<string> => {
    for await (const step of client.pullModel(`${url}/${name}`, undefined)) {
      if (step.type === 'done') return step.result.sha256;
    }
    throw new Error('no result');
  };
  const stored = async (): Promise<string[]> => (await client.models()).map(({ sha256 }) => sha256).toSorted();

  const a = await pull('a');
  const source = join(folder, 'fn');
  mkdirSync(source);
  writeFileSync(join(source, 'function.yaml'), `name: fn\nmodels:\n  m: { url: "${url}/a", sha256: ${a} }\n`);
  await deployModel(daemon.url, home, source);
  const b = await pull('b');
  expect(await stored()).toEqual([a, b].toSorted());
  // The function's model is the older one, and stays; what nobody uses goes.
  const c = await pull('c');
  expect(await stored()).toEqual([a, c].toSorted());

  // What could not fit in any case costs nobody their model.
  await expect(pull('large')).rejects.toMatchObject({ code: 'DISK_FULL', message: expect.stringContaining('in use') });
  expect(await stored()).toEqual([a, c].toSorted());

  // A model that comes with its function counts as well.
  writeFileSync(join(folder, 'b.onnx'), model(2));
  await deployModel(daemon.url, home, join(folder, 'b.onnx'), 'own');
  expect(await stored()).toEqual([a, b].toSorted());
  writeFileSync(join(folder, 'c.onnx'), model(3));
  await expect(deployModel(daemon.url, home, join(folder, 'c.onnx'), 'own')).rejects.toMatchObject({
    code: 'DISK_FULL',
  });
  expect(await stored()).toEqual([a, b].toSorted());

  expect(readdirSync(home.prepared)).toHaveLength(2);
  await client.remove('fn');
  await pull('c');
  expect(await stored()).toEqual([b, c].toSorted());
  expect(readdirSync(home.prepared)).toHaveLength(1);
  await daemon.close();
  const database = openDatabase(home.database);
  expect(
    createFunctionStore(database)
      .models()
      .map(({ sha256 }) => sha256),
  ).toEqual([b]);
  database.close();
});
