import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { Header, Pax } from 'tar';
import { describe, expect, it, onTestFinished } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import { removeUnfinishedPackages, unpackPackage } from '../../../src/functions/package.ts';

const LIMITS = { maxFiles: 20, maxBytes: 1_000_000 };

interface Entry {
  readonly path: string;
  readonly body?: string | Buffer;
  readonly type?: string;
  readonly linkpath?: string;
  readonly size?: number;
}

/** A tar archive with exactly these entries, however wrong they are. */
function tarOf(entries: readonly Entry[], end = true): Buffer {
  const blocks: Buffer[] = [];
  for (const { path, body = '', type = 'File', linkpath, size } of entries) {
    const bytes = Buffer.from(body);
    const fields = {
      path,
      type: type as 'File',
      size: size ?? bytes.byteLength,
      mode: 0o644,
      mtime: new Date(0),
      ...(linkpath && { linkpath }),
    };
    const block = Buffer.alloc(512);
    const header = new Header(fields);
    if (header.encode(block, 0)) blocks.push(new Pax({ path, ...(linkpath && { linkpath }) }).encode());
    blocks.push(block, bytes, Buffer.alloc((512 - (bytes.byteLength % 512)) % 512));
  }
  if (end) blocks.push(Buffer.alloc(1024));
  return Buffer.concat(blocks);
}

async function* inChunks(bytes: Uint8Array, size = 700): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

function place(): { parent: string; folder: string } {
  const parent = mkdtempSync(join(tmpdir(), 'gpufaas-package-'));
  onTestFinished(() => rmSync(parent, { recursive: true }));
  return { parent, folder: join(parent, 'v1') };
}

async function refusal(archive: AsyncIterable<Uint8Array>, limits = LIMITS): Promise<GpufaasError> {
  const { parent, folder } = place();
  const error: unknown = await unpackPackage(archive, folder, limits).then(
    () => new Error('the package was accepted'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(GpufaasError);
  expect(readdirSync(parent), 'something was left behind').toEqual([]);
  return error as GpufaasError;
}

const GOOD: readonly Entry[] = [
  { path: './', type: 'Directory' },
  { path: './function.yaml', body: 'name: a\n' },
  { path: 'model/', type: 'Directory' },
  { path: 'model/m.onnx', body: Buffer.alloc(5000, 7) },
  { path: `deep/${'long-'.repeat(30)}/name.txt`, body: 'x' },
  { path: 'empty', body: '' },
];

describe('a package', () => {
  it.each([
    ['plain', tarOf(GOOD), 700],
    ['gzip', gzipSync(tarOf(GOOD)), 13],
    ['in single bytes', gzipSync(tarOf(GOOD)), 1],
  ])('%s is unpacked whole', async (_, bytes, size) => {
    const { parent, folder } = place();
    const contents = await unpackPackage(inChunks(bytes, size), folder, LIMITS);
    expect(readFileSync(join(folder, 'function.yaml'), 'utf8')).toBe('name: a\n');
    expect(contents).toEqual({ files: 4, bytes: 5009 });
    expect(readFileSync(join(folder, 'model/m.onnx'))).toEqual(Buffer.alloc(5000, 7));
    expect(readFileSync(join(folder, GOOD[4]!.path), 'utf8')).toBe('x');
    expect(readdirSync(parent)).toEqual(['v1']);
  });

  it.each<[string, Entry[], RegExp]>([
    ['a path that leads out', [{ path: '../evil', body: 'x' }], /"\.\.\/evil".*outside/],
    ['a path that leads out in the middle', [{ path: 'a/../../evil', body: 'x' }], /outside/],
    ['an absolute path', [{ path: '/etc/evil', body: 'x' }], /"\/etc\/evil".*absolute/],
    ['a Windows path', [{ path: 'C:\\evil', body: 'x' }], /backslash/],
    ['a look-alike of two dots', [{ path: '\uff0e\uff0e/evil', body: 'x' }], /outside/],
    ['a name that turns text round', [{ path: 'a\u202etxt.exe', body: 'x' }], /not printable/],
    ['a name too long', [{ path: 'n'.repeat(300), body: 'x' }], /longer than 255/],
    ['a symbolic link', [{ path: 'link', type: 'SymbolicLink', linkpath: '/etc/passwd' }], /"link".*symbolic link/],
    ['a hard link', [{ path: 'hard', type: 'Link', linkpath: '../../x' }], /"hard".*hard link/],
    ['a device', [{ path: 'null', type: 'CharacterDevice' }], /"null".*device/],
    ['a pipe', [{ path: 'pipe', type: 'FIFO' }], /"pipe".*pipe/],
    [
      'the same name twice',
      [
        { path: 'a', body: '1' },
        { path: 'a', body: '2' },
      ],
      /"a".*twice/,
    ],
    [
      'names that differ in case',
      [
        { path: 'a/x', body: '1' },
        { path: 'A/y', body: '2' },
      ],
      /only in case/,
    ],
    [
      'a file where a folder is',
      [
        { path: 'a/x', body: '1' },
        { path: 'a', body: '2' },
      ],
      /twice/,
    ],
    [
      'a file that is used as a folder',
      [
        { path: 'a', body: '1' },
        { path: 'a/x', body: '2' },
      ],
      /twice/,
    ],
    ['too many files', Array.from({ length: 21 }, (_, i) => ({ path: `f${i}`, body: '' })), /more than 20 files/],
    ['too many bytes', [{ path: 'big', body: Buffer.alloc(1_000_001) }], /more than 1 MB/],
  ])('with %s is refused, names it, and leaves nothing', async (_, entries, message) => {
    const error = await refusal(inChunks(tarOf([{ path: 'function.yaml', body: 'name: a' }, ...entries])));
    expect(error.code).toBe('BAD_PACKAGE');
    expect(error.message).toMatch(message);
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('hello, this is no archive at all, but it is longer than one block. '.repeat(20))],
    ['an archive cut in a file', tarOf([{ path: 'a', body: Buffer.alloc(3000) }]).subarray(0, 1500)],
    ['gzip that is damaged', Buffer.concat([gzipSync(tarOf(GOOD)).subarray(0, 60), Buffer.alloc(50, 1)])],
    ['gzip that is cut', gzipSync(tarOf(GOOD)).subarray(0, 80)],
  ])('that is %s is refused', async (_, bytes) => expect((await refusal(inChunks(bytes))).code).toBe('BAD_PACKAGE'));

  it('that unfolds without end is stopped', async () => {
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      yield tarOf([{ path: 'a', body: 'x' }]);
      for (;;) yield Buffer.alloc(65_536);
    };
    expect((await refusal(endless())).message).toMatch(/longer than its files/);
  });

  it('that breaks off on its way is refused', async () => {
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield tarOf([{ path: 'a', body: Buffer.alloc(5000) }]).subarray(0, 2000);
      throw new Error('socket hang up');
    };
    expect((await refusal(broken())).message).toMatch(/broke off/);
  });

  it('stops when told to', async () => {
    const { parent, folder } = place();
    const stalled = async function* (): AsyncGenerator<Uint8Array> {
      yield tarOf([{ path: 'a', body: Buffer.alloc(5000) }]).subarray(0, 2000);
      await new Promise(() => {});
    };
    const stop = new AbortController();
    setTimeout(() => stop.abort(new GpufaasError('CANCELLED', 'Enough.')), 20);
    await expect(unpackPackage(stalled(), folder, LIMITS, stop.signal)).rejects.toThrow('Enough.');
    expect(readdirSync(parent)).toEqual([]);
  });

  it('with any bytes changed is unpacked or refused, and touches nothing else', async () => {
    const good = tarOf(GOOD);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 0, max: good.byteLength - 1 }), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 8,
        }),
        async (changes) => {
          const bytes = Buffer.from(good);
          for (const [at, value] of changes) bytes[at] = value;
          const parent = mkdtempSync(join(tmpdir(), 'gpufaas-package-'));
          try {
            const outcome = await unpackPackage(inChunks(bytes, 4096), join(parent, 'v1'), LIMITS).then(
              () => 'unpacked',
              (error: unknown) => (error as GpufaasError).code,
            );
            expect(['unpacked', 'BAD_PACKAGE']).toContain(outcome);
            expect(readdirSync(parent).filter((name) => name !== 'v1')).toEqual([]);
          } finally {
            rmSync(parent, { recursive: true });
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it('left half unpacked by a killed process is cleared away', async () => {
    const { parent, folder } = place();
    await unpackPackage(inChunks(tarOf(GOOD)), folder, LIMITS);
    await unpackPackage(inChunks(tarOf(GOOD)), join(parent, '.v2.unfinished'), LIMITS);
    await removeUnfinishedPackages(parent);
    expect(readdirSync(parent)).toEqual(['v1']);
    expect(existsSync(join(folder, 'function.yaml'))).toBe(true);
  });
});
