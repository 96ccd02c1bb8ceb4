import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import type { GpufaasError } from '../../../src/errors.ts';
import { unpackPackage } from '../../../src/functions/package.ts';
import { createSecretStore } from '../../../src/functions/secrets.ts';
import { createModelFetcher } from '../../../src/models/pull.ts';
import { createModelStore } from '../../../src/models/store.ts';
import { buildNetwork } from '../../../src/onnx/networks.ts';
import { tinyModel } from '../../helpers/models.ts';

const disk = mkdtempSync(join(tmpdir(), 'gpufaas-disk-'));

/** A disk of 3 MB, where this user may make one. */
function mount(): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', disk], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
const mounted = mount();
afterAll(() => {
  if (mounted) execFileSync('umount', [disk]);
  rmSync(disk, { recursive: true, force: true });
});

const LARGE = buildNetwork({ kind: 'mlp', megabytes: 4, seed: 1 }).encode();

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'it worked',
    (error: unknown) => (error as GpufaasError).code,
  );

describe.skipIf(!mounted)('on a full disk', () => {
  it('a model is refused, told, and leaves the store as it was', async () => {
    const store = await createModelStore(join(disk, 'models'));
    const elsewhere = mkdtempSync(join(tmpdir(), 'gpufaas-source-'));
    onTestFinished(() => rmSync(elsewhere, { recursive: true }));
    writeFileSync(join(elsewhere, 'small.onnx'), tinyModel().bytes);
    writeFileSync(join(elsewhere, 'large.onnx'), LARGE);
    const small = await store.add(join(elsewhere, 'small.onnx'), { root: elsewhere });
    for (const link of [false, true]) {
      expect(await codeOf(store.add(join(elsewhere, 'large.onnx'), { root: elsewhere, link }))).toBe('DISK_FULL');
      expect(readdirSync(store.folder)).toEqual([small.sha256]);
    }
    await expect(store.verify(small.sha256)).resolves.toBeUndefined();
  });

  it.each(['with its size told', 'of unknown size'])('a model that is pulled, %s, ends the same way', async (how) => {
    const server = createServer((_, response) => {
      response.writeHead(200, how.startsWith('with') ? { 'content-length': LARGE.byteLength } : {});
      response.end(LARGE);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const store = await createModelStore(join(disk, 'pulled'));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/m.onnx`;
    expect(await codeOf(createModelFetcher(store)({ url }, () => undefined, new AbortController().signal))).toBe(
      'DISK_FULL',
    );
    expect(readdirSync(store.folder)).toEqual([]);
  });

  it('a package is refused and gives back what it took', async () => {
    const parent = join(disk, 'functions');
    mkdirSync(parent);
    const source = mkdtempSync(join(tmpdir(), 'gpufaas-source-'));
    onTestFinished(() => rmSync(source, { recursive: true }));
    writeFileSync(join(source, 'large.onnx'), LARGE);
    const archive = execFileSync('tar', ['-cf', '-', '-C', source, '.'], { maxBuffer: 1e8 });
    const freeBefore = statfsSync(disk).bavail;
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < archive.byteLength; at += 65_536) yield archive.subarray(at, at + 65_536);
    };
    expect(await codeOf(unpackPackage(chunks(), join(parent, 'v1')))).toBe('DISK_FULL');
    expect(readdirSync(parent)).toEqual([]);
    expect(statfsSync(disk).bavail).toBe(freeBefore);
  });

  it('a secret is refused, and the old one stands', async () => {
    const secrets = createSecretStore(join(disk, 'secrets.json'));
    secrets.set('key', 'old');
    writeFileSync(join(disk, 'filler'), Buffer.alloc(statfsSync(disk).bavail * 4096));
    const setting = Promise.resolve().then(() => secrets.set('other', 'x'.repeat(60_000)));
    expect(await codeOf(setting)).toBe('DISK_FULL');
    expect(secrets.values(['key'])).toEqual({ key: 'old' });
    expect(readdirSync(disk).filter((name) => name.startsWith('secrets'))).toEqual(['secrets.json']);
  });
});
