// Deployments and residency through a real daemon: what a caller is told when something is wrong.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { deployModel } from '../../../bench/deploy.ts';
import { startDaemon, type Daemon } from '../../../src/daemon/daemon.ts';
import { GpufaasClient } from '../../../src/client/client.ts';
import type { GpufaasError } from '../../../src/errors.ts';
import { createSecretStore } from '../../../src/functions/secrets.ts';
import { packageStream, preparePackage } from '../../../src/client/pack.ts';
import { resolveHome } from '../../../src/home.ts';
import { tinyModel } from '../../helpers/models.ts';

const root = mkdtempSync(join(tmpdir(), 'gpufaas-deployment-'));
const home = resolveHome({ GPUFAAS_HOME: join(root, 'home') });
const MODEL = tinyModel();
let daemon: Daemon;
let client: GpufaasClient;

beforeAll(async () => {
  daemon = await startDaemon({ home, devices: 'emulated:1@1GB', port: 0 });
  client = new GpufaasClient({ url: daemon.url, token: readFileSync(home.token, 'utf8').trim() });
}, 60_000);
afterAll(async () => {
  await daemon.close();
  rmSync(root, { recursive: true, force: true });
}, 60_000);

/** Deploys a folder with these files. */
function deploy(name: string, files: Readonly<Record<string, string | Uint8Array>>): ReturnType<typeof deployModel> {
  const folder = join(root, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const [path, content] of Object.entries(files)) writeFileSync(join(folder, path), content);
  return deployModel(daemon.url, home, folder);
}

it('A pinned function is not unloaded, and the caller learns at once why', { timeout: 20_000 }, async () => {
  await deploy('held', { 'function.yaml': 'name: held\nmodels:\n  m: { path: m.onnx }\n', 'm.onnx': MODEL.bytes });
  await client.pin('held', true);
  await expect(client.unload('held')).rejects.toMatchObject({
    code: 'CONFLICT',
    message: 'held is pinned.',
    suggestions: ['`gpufaas pin held --off` lets it go.'],
  });
  await client.pin('held', false);
  await client.unload('held');
  const pinned = 'name: held\nmodels:\n  m: { path: m.onnx }\nkeepAlive: pinned\n';
  await deploy('held', { 'function.yaml': pinned, 'm.onnx': MODEL.bytes });
  await expect(client.unload('held')).rejects.toMatchObject({
    code: 'CONFLICT',
    message: expect.stringContaining('keepAlive: pinned'),
  });
});

const BARE = 'name: bare\nmodels:\n  m: { path: m.onnx }\nsample: sample.json\n';

it('A sample without handler must be there, fit the model, and is then tried', { timeout: 20_000 }, async () => {
  const sample = (datatype: string) =>
    JSON.stringify({ inputs: [{ name: 'input', shape: [1, 4], datatype, data: [1, 2, 3, 4] }] });
  const files = { 'function.yaml': BARE, 'm.onnx': MODEL.bytes };
  await expect(deploy('bare', files)).rejects.toMatchObject({
    code: 'BAD_PACKAGE',
    message: 'The sample sample.json is not in the package.',
  });
  await expect(deploy('bare', { ...files, 'sample.json': 'no json' })).rejects.toMatchObject({
    code: 'DEPLOY_FAILED',
    message: expect.stringContaining('not valid JSON'),
  });
  await expect(deploy('bare', { ...files, 'sample.json': sample('INT64') })).rejects.toMatchObject({
    code: 'DEPLOY_FAILED',
    message: expect.stringContaining('"input" must be FP32'),
  });
  const { smokeTest } = await deploy('bare', { ...files, 'sample.json': sample('FP32') });
  expect(smokeTest?.status).toBe(200);
  // Nobody called it yet.
  expect(await client.invocations({ function: 'bare' })).toEqual([]);
  expect(await client.function('bare')).toMatchObject({ invocations: 0, lastErrors: [] });
  const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
  expect(metrics).not.toMatch(/^gpufaas_invocations_total\{.*function="bare"/m);
  expect(JSON.parse(smokeTest!.body)).toMatchObject({
    model_name: 'bare',
    outputs: [{ name: 'output', shape: [1, 3] }],
  });
});

it(
  'A version that fails says where, and speaks of an earlier one only if there is one',
  { timeout: 30_000 },
  async () => {
    const files = (line: string) => ({
      'function.yaml': 'name: thrower\nhandler: handler.js\nsample: sample.txt\n',
      'handler.js': `export default () => {\n  ${line}\n};\n`,
      'sample.txt': 'x',
    });
    const broken = files("throw new Error('no digit in ' + import.meta.filename);");
    await expect(deploy('thrower', broken)).rejects.toMatchObject({
      code: 'DEPLOY_FAILED',
      message: 'The smoke test failed: The handler threw: no digit in ./handler.js',
      suggestions: [
        'It was thrown at handler.js:2.',
        '`gpufaas logs thrower` shows the stack and what the handler printed.',
      ],
      printed: ['Error: no digit in handler.js', expect.stringContaining('handler.js:2')],
    });
    await deploy('thrower', files("return 'fine';"));
    await expect(deploy('thrower', broken)).rejects.toMatchObject({
      suggestions: [
        'It was thrown at handler.js:2.',
        '`gpufaas logs thrower` shows the stack and what the handler printed.',
        'The version that served before still does.',
      ],
    });
  },
);

/** What a first deployment with this handler fails with. */
function failing(name: string, body: string, manifest = ''): Promise<unknown> {
  return deploy(name, {
    'function.yaml': `name: ${name}\nhandler: handler.js\nsample: sample.txt\n${manifest}`,
    'handler.js': `export default async () => {\n${body}\n};\n`,
    'sample.txt': 'x',
  }).then(
    () => 'deployed',
    (error: unknown) => error,
  );
}

it('A first deployment whose handler dies gives the last lines it printed, and its log', async () => {
  createSecretStore(home.secrets).set('KEY', 'swordfish-99');
  const body = [
    'for (let line = 0; line < 30; line++) console.log(`line ${line}`);',
    'console.log(`key ${process.env.KEY} ${"x".repeat(1000)}`);',
    "setTimeout(() => { throw new Error('too late'); }, 10);",
    'await new Promise(() => undefined);',
  ].join('\n');
  const error = await failing('dier', body, 'secrets: [KEY]\n');
  expect(error).toMatchObject({
    code: 'DEPLOY_FAILED',
    message: 'The smoke test failed: The process of the handler is gone: it ended with exit code 1.',
    suggestions: ['What it printed last may tell why; `gpufaas logs dier` shows more.'],
  });
  const { printed } = error as GpufaasError;
  expect(printed).toHaveLength(20);
  expect(printed).toContain('Error: too late');
  expect(printed.find((line) => line.startsWith('key'))).toMatch(/^key \*\*\* x{400,500}…$/);
  const logged: string[] = [];
  for await (const { text } of client.logs('dier')) logged.push(text);
  expect(logged).toEqual(expect.arrayContaining(['line 0', 'Error: too late']));
  expect(logged.join('\n')).not.toContain('swordfish');
});

it('A first deployment that dies in silence or takes too long gets advice that needs no record of it', async () => {
  expect(await failing('leaver', 'process.exit(3);')).toMatchObject({
    code: 'DEPLOY_FAILED',
    message: expect.stringContaining('exit code 3'),
    suggestions: ['It printed nothing: look for `process.exit`, and for what is thrown outside the call.'],
    printed: [],
  });
  const waiting = "console.log('waiting');\nawait new Promise(() => undefined);";
  expect(await failing('waiter', waiting, 'timeout: 500ms\n')).toMatchObject({
    code: 'DEPLOY_FAILED',
    suggestions: ['Mend what it waits for; if it needs that long, raise `timeout` in function.yaml.'],
    printed: ['waiting'],
  });
  await expect(client.logs('never-deployed').next()).rejects.toMatchObject({ code: 'FUNCTION_NOT_FOUND' });
});

it('The note of a deployment stands beside its version', async () => {
  const folder = join(root, 'noted');
  mkdirSync(folder);
  writeFileSync(join(folder, 'function.yaml'), 'name: noted\nhandler: handler.js\n');
  writeFileSync(join(folder, 'handler.js'), "export default () => 'x';\n");
  for (const note of ['', 'from Ada']) {
    for await (const _ of client.deploy(await packageStream(await preparePackage(folder)), note));
  }
  const { versions } = await client.function('noted');
  expect(versions).toEqual([
    { version: 1, createdAt: expect.any(String), serving: false },
    { version: 2, createdAt: expect.any(String), serving: true, note: 'from Ada' },
  ]);
});
