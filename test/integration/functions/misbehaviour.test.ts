import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import { alive, eventually, handlerProcess } from '../../helpers/handler-process.ts';

const define = (body: string, top = ''): string =>
  `import { defineHandler } from 'gpufaas';\n${top}\nexport default defineHandler(async (request, { models, log, signal }) => {\n${body}\n});\n`;

async function failure(promise: Promise<unknown>): Promise<GpufaasError> {
  const error: unknown = await promise.then(
    () => new Error('it did not fail'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(GpufaasError);
  const known = error as GpufaasError;
  expect(known.suggestions.length).toBeGreaterThan(0);
  expect(known.message).not.toContain('\n');
  return known;
}

describe('a handler that', () => {
  it.each([
    ['throws an Error', `throw new Error('no digit found');`, 'The handler threw: no digit found'],
    ['throws a TypeError', `null!.x;`, /^The handler threw: TypeError: .*null/],
    ['throws text', `throw 'oops';`, 'The handler threw string: oops'],
    ['throws nothing', `throw undefined;`, 'The handler threw undefined instead of an Error'],
    ['returns a function', `return () => 1;`, 'The handler returned a function.'],
    ['returns a circle', `const a: any = {}; a.a = a; return a;`, /^The handler returned a value that JSON can't hold/],
    ['returns a Response of status 101', `return { __proto__: Response.prototype };`, /^The handler/],
  ])('%s fails that call and no other', async (_, body, message) => {
    const { call, process, lines } = handlerProcess(define(`if (request.text() === 'ok') return 'fine';\n${body}`));
    const error = await failure(call('bad'));
    expect(error.code).toBe('HANDLER_ERROR');
    expect(error.message).toMatch(message);
    const { pid } = process;
    expect((await call('ok')).body.toString()).toBe('fine');
    expect(process.pid).toBe(pid);
    await eventually('the stack is in the log', () =>
      lines.some((line) => line.level === 'error' && line.callId === 'call-1'),
    );
  });

  it.each([
    ['a syntax error', 'export default (', {}, /can not be loaded: .*\(?handler\.ts:1\)?/],
    ['an enum', 'enum A { B }\nexport default () => A.B;', {}, /handler\.ts can not be loaded: .*enum/i],
    [
      'an import that is not there',
      `import './gone.ts';\nexport default () => 1;`,
      {},
      /it imports .*gone\.ts, which is not in the package/,
    ],
    [
      'a package that is not installed',
      `import 'left-pad';\nexport default () => 1;`,
      {},
      /it imports left-pad, which is not installed/,
    ],
    [
      'an import that another file does not export',
      `import { b } from './lib/b.ts';\nexport default b;`,
      { 'lib/b.ts': 'export const a = 1;' },
      /it imports b from \.\/lib\/b\.ts, which exports no b .*Mend the name; types are imported with `import type`/,
    ],
    [
      'a throw while it loads',
      `const x: any = null;\nx.y();\nexport default () => 1;`,
      {},
      /can not be loaded: Cannot read .*\(handler\.ts:2\)/,
    ],
    [
      'a syntax error in another file',
      `import './lib/b.ts';\nexport default () => 1;`,
      { 'lib/b.ts': 'const a = ;' },
      /lib\/b\.ts:1/,
    ],
    ['no default export', 'export const handler = () => 1;', {}, /has no handler as its default export/],
    ['an export that is no function', 'export default 3;', {}, /has no handler as its default export/],
    [
      'a missing name of gpufaas',
      `import { defineHandlr } from 'gpufaas';\nexport default () => 1;`,
      {},
      /it imports defineHandlr from gpufaas, which exports no defineHandlr .*handler\.ts:1.* Did you mean defineHandler\?/,
    ],
    [
      'a file it may not read',
      `import { readFileSync } from 'node:fs';\nreadFileSync('/etc/passwd');\nexport default () => 1;`,
      {},
      /tried to read \/etc\/passwd/,
    ],
    [
      'a process that ends',
      'process.exit(0);\nexport default () => 1;',
      {},
      /^handler\.ts can not be loaded: its process ended by itself/,
    ],
    [
      'a process that ends badly',
      'process.exit(7);\nexport default () => 1;',
      {},
      /^handler\.ts can not be loaded: its process ended with exit code 7/,
    ],
  ])('has %s does not start, and says why', async (_, source, files, message) => {
    const { process, call } = handlerProcess(source, { files });
    const error = await failure(process.start());
    expect([error.message, ...error.suggestions].join(' ')).toMatch(message);
    expect(['HANDLER_ERROR', 'HANDLER_DIED']).toContain(error.code);
    expect(error.suggestions.join(' ')).not.toMatch(/started again/);
    expect((await failure(call())).message).toBe(error.message);
  });

  it.each([
    ['no package.json', {}, /^Add a package\.json with "left-pad"/],
    ['one', { 'package.json': '{"type":"module"}' }, /^Add "left-pad" to the dependencies in package\.json/],
  ])('lacks a package and has %s is told what to write where', async (_, files, advice) => {
    const { process } = handlerProcess(`import 'left-pad';\nexport default () => 1;`, { files });
    const error = await failure(process.start());
    expect(error.suggestions[0]).toMatch(advice);
  });

  it('never finishes loading is given up', async () => {
    const { process } = handlerProcess(
      'await new Promise(() => setInterval(() => 0, 1000));\nexport default () => 1;',
      { loadMs: 400 },
    );
    expect(await failure(process.start())).toMatchObject({
      code: 'HANDLER_ERROR',
      message: 'handler.ts was not loaded within 400 ms.',
    });
  });

  it('takes too long is told so by its signal, and goes on for others', async () => {
    const { call, process, lines } = handlerProcess(
      define(
        `if (request.text() === 'ok') return 'fine'; signal.addEventListener('abort', () => console.log('told')); await new Promise((r) => setTimeout(r, 60_000));`,
      ),
      { manifest: 'timeout: 900ms\n' },
    );
    await process.start();
    const error = await failure(call('slow'));
    expect(error).toMatchObject({ code: 'TIMEOUT', message: 'The handler took longer than 900 ms.' });
    const { pid } = process;
    expect((await call('ok')).body.toString()).toBe('fine');
    await eventually('the signal fired', () => lines.some((line) => line.text === 'told'));
    expect(process.pid).toBe(pid);
  });

  it('blocks is ended when its time is up, and the next call is served', async () => {
    const { call, process, lines } = handlerProcess(define(`if (request.text() === 'ok') return 'fine'; for (;;);`), {
      manifest: 'timeout: 900ms\n',
      answerPingMs: 200,
    });
    await process.start();
    const pid = process.pid!;
    const error = await failure(call('hang'));
    expect(error.code).toBe('TIMEOUT');
    await eventually('the process is gone', () => !alive(pid));
    await eventually('the log says why', () =>
      lines.some(({ text, level }) => level === 'error' && text.includes('a call ran out of time and blocked it')),
    );
    await eventually('a new one is there', () => process.pid !== undefined && process.pid !== pid);
    await process.start();
    expect((await call('ok')).body.toString()).toBe('fine');
  });

  it('blocks fails only the calls it had: one that comes after the time was up is served by the next process', async () => {
    const { call, process } = handlerProcess(define(`if (request.text() === 'ok') return 'fine'; for (;;);`), {
      // Enough for the next process to start, too.
      manifest: 'timeout: 4s\n',
      answerPingMs: 4300,
    });
    await process.start();
    const hanging = failure(call('hang'));
    // Late, so that its own time is not up before the process is ended.
    await new Promise((resolve) => setTimeout(resolve, 3500));
    const beside = failure(call('ok'));
    expect((await hanging).code).toBe('TIMEOUT');
    // The process may still recover: it has not been silent for long enough.
    const after = call('ok');
    expect((await beside).code).toBe('HANDLER_DIED');
    expect((await after).body.toString()).toBe('fine');
  });

  it('only stands still for a while keeps its process, and the call that waited for it is served', async () => {
    const { call, process } = handlerProcess(
      define(`if (request.text() === 'ok') return 'fine'; const end = Date.now() + 1300; while (Date.now() < end);`),
      { manifest: 'timeout: 1s\n', answerPingMs: 5000 },
    );
    await process.start();
    const { pid } = process;
    expect((await failure(call('hang'))).code).toBe('TIMEOUT');
    expect((await call('ok')).body.toString()).toBe('fine');
    expect(process.pid).toBe(pid);
  });

  it.each([
    ['exits', `process.exit(3);`, /it ended with exit code 3/],
    ['exits as if all were well', `process.exit(0);`, /it ended by itself/],
    ['aborts', `process.abort();`, /it was ended by SIGABRT/],
    [
      'dies of an error nobody caught',
      `setTimeout(() => { throw new Error('later'); }, 1); await new Promise((r) => setTimeout(r, 5000));`,
      /exit code/,
    ],
    [
      'writes into the channel',
      `(await import('node:fs')).writeSync(3, 'garbage that is no frame at all'); await new Promise((r) => setTimeout(r, 5000));`,
      /it wrote into the channel/,
    ],
  ])('%s fails the calls under way with 502 and comes back', async (_, body, message) => {
    const { call, process, notices, lines } = handlerProcess(
      define(
        `if (request.text() === 'ok') return 'fine'; if (request.text() === 'wait') await new Promise((r) => setTimeout(r, 5000));\n${body}`,
      ),
    );
    await process.start();
    const waiting = failure(call('wait'));
    const error = await failure(call('die'));
    expect(error.code).toBe('HANDLER_DIED');
    expect(error.status).toBe(502);
    expect(error.message).toMatch(message);
    expect((await waiting).code).toBe('HANDLER_DIED');
    expect((await call('ok')).body.toString()).toBe('fine');
    expect(notices).toContain('the process of a handler is gone');
    expect(lines.filter(({ level, text }) => level === 'error' && message.test(text))).toHaveLength(1);
  });

  it('was killed from outside comes back', async () => {
    const { call, process: handler } = handlerProcess(define(`return String(process.pid);`));
    const first = Number((await call()).body.toString());
    process.kill(first, 'SIGKILL');
    await eventually('the death is seen', () => handler.pid !== first);
    expect(Number((await call()).body.toString())).not.toBe(first);
  });

  it('keeps dying is started again later and later', async () => {
    const { call } = handlerProcess(define(`process.exit(1);`));
    let last = await failure(call());
    for (let i = 0; i < 12 && last.retryAfterMs === undefined; i++) last = await failure(call());
    expect(last.code).toBe('HANDLER_DIED');
    expect(last.message).toMatch(/keeps dying; the next try is in/);
    expect(last.retryAfterMs).toBeGreaterThan(1000);
  }, 20_000);

  it.each([
    ['objects', `const all: unknown[] = []; for (;;) all.push(Array(1000).fill(all.length));`],
    [
      'buffers',
      `const all: Buffer[] = []; for (;;) { all.push(Buffer.alloc(8_000_000, 1)); await new Promise((r) => setTimeout(r, 2)); }`,
    ],
  ])('eats memory in %s is ended at its limit', async (_, body) => {
    const { call, process } = handlerProcess(define(`if (request.text() === 'ok') return 'fine';\n${body}`), {
      memoryBytes: 200e6,
    });
    await process.start();
    const error = await failure(call('eat'));
    expect(error).toMatchObject({
      code: 'HANDLER_DIED',
      message: expect.stringContaining('used more than 200 MB of memory'),
    });
    expect((await call('ok')).body.toString()).toBe('fine');
  });

  it('leaks is replaced, with no call lost', async () => {
    const {
      call,
      process: handler,
      notices,
    } = handlerProcess(
      define(`((globalThis as any).kept ??= []).push(Buffer.alloc(20_000_000, 1)); return String(process.pid);`),
      { memoryBytes: 300e6 },
    );
    const pids = new Set<string>();
    for (let i = 0; i < 8; i++) pids.add((await call()).body.toString());
    await new Promise((resolve) => setTimeout(resolve, 200));
    pids.add((await call()).body.toString());
    await eventually('it is replaced', () => notices.includes('a handler that had grown was replaced'));
    for (let i = 0; i < 3; i++) pids.add((await call()).body.toString());
    expect(pids.size).toBe(2);
    expect(notices).not.toContain('the process of a handler is gone');
    await eventually('one is left', () => Array.from(pids, Number).filter(alive).length <= 1);
    expect(handler.pid).toBeDefined();
  });

  it('never ends the calls that were cancelled is replaced in the end', async () => {
    const { call, notices } = handlerProcess(
      define(
        `if (request.text() === 'ok') return String(process.pid);
         if (request.text() === 'begun') return String((globalThis as any).begun);
         (globalThis as any).begun = ((globalThis as any).begun ?? 0) + 1;
         await new Promise(() => setInterval(() => 0, 1000));`,
      ),
    );
    const first = (await call('ok')).body.toString();
    const cancel = new AbortController();
    const calls = Array.from({ length: 200 }, () => failure(call('for ever', { signal: cancel.signal })));
    await expect.poll(async () => (await call('begun')).body.toString()).toBe('200');
    cancel.abort(new GpufaasError('CANCELLED', 'Gone.', { suggestions: ['-'] }));
    await Promise.all(calls);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await call('ok');
    await eventually('it is replaced', () => notices.includes('a handler that had grown was replaced'));
    expect((await call('ok')).body.toString()).not.toBe(first);
  });

  it('throws leaves a stack of its own code, and nothing of ours', async () => {
    const { call, lines } = handlerProcess(
      `import { check } from './lib/check.ts';\nexport default (request: any) => check(request.text());`,
      { files: { 'lib/check.ts': 'export function check(text: string) {\n  throw new Error(text);\n}' } },
    );
    await failure(call('deep'));
    await eventually('the stack is in the log', () => lines.length >= 3);
    const text = lines.map((line) => line.text.trim()).join('\n');
    expect(text).toMatch(/^Error: deep\nat check \(lib\/check\.ts:2:\d+\)\nat default \(handler\.ts:2:\d+\)$/);
  });

  it.each([
    [
      'starts a process',
      `(await import('node:child_process')).execSync('id');`,
      'The handler tried to start another process, which a handler may not.',
    ],
    [
      'forks',
      `(await import('node:child_process')).fork('x.js');`,
      'The handler tried to start another process, which a handler may not.',
    ],
    [
      'starts a thread',
      `new (await import('node:worker_threads')).Worker('0', { eval: true });`,
      'The handler tried to start a worker thread, which a handler may not.',
    ],
    [
      'writes a file',
      `(await import('node:fs')).writeFileSync('/tmp/gpufaas-evil', 'x');`,
      'The handler tried to write /tmp/gpufaas-evil, which a handler may not.',
    ],
    [
      'writes into its own folder',
      `(await import('node:fs')).writeFileSync('evil', 'x');`,
      /tried to write .*evil, which/,
    ],
    [
      'reads what is not its own',
      `(await import('node:fs')).readFileSync('/etc/passwd');`,
      'The handler tried to read /etc/passwd, which a handler may not.',
    ],
    [
      'signals the daemon',
      `process.kill(process.ppid, 'SIGKILL');`,
      'The handler tried to signal a process, which a handler may not.',
    ],
    ['opens a database', `await import('node:sqlite');`, /node:sqlite/],
  ])('%s is refused and told so', async (_, body, message) => {
    const { call, process } = handlerProcess(define(`if (request.text() === 'ok') return 'fine';\n${body}`));
    const error = await failure(call('bad'));
    expect(error.code).toBe('HANDLER_ERROR');
    expect(error.message).toMatch(message);
    expect(existsSync('/tmp/gpufaas-evil')).toBe(false);
    const { pid } = process;
    expect((await call('ok')).body.toString()).toBe('fine');
    expect(process.pid).toBe(pid);
  });

  it('opens 10,000 sockets runs out of them alone', async () => {
    let accepted = 0;
    const server = createServer((socket) => {
      accepted++;
      socket.on('error', () => undefined);
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { call } = handlerProcess(
      define(
        `if (request.text() === 'ok') return 'fine';
         const sockets: any[] = [];
         try { for (let i = 0; i < 10_000; i++) sockets.push(await new Promise((ok, no) => { const s = connect(${port}, '127.0.0.1', () => ok(s)); s.on('error', no); })); }
         finally { for (const s of sockets) s.destroy(); }`,
        `import { connect } from 'node:net';`,
      ),
      { openFiles: 256 },
    );
    const error = await failure(call('bad'));
    expect(error).toMatchObject({ code: 'HANDLER_ERROR', message: expect.stringContaining('EMFILE') });
    expect(accepted).toBeLessThan(256);
    expect((await call('ok')).body.toString()).toBe('fine');
  });

  it('prints garbage without end neither grows the daemon nor hides the rest', async () => {
    const { call, lines } = handlerProcess(
      define(
        `for (let i = 0; i < 20_000; i++) console.log('line ' + i); process.stdout.write(Buffer.from([255, 254, 27, 91, 51, 49, 109, 0, 7, 65])); process.stdout.write('x'.repeat(200_000)); return 'done';`,
      ),
    );
    expect((await call()).body.toString()).toBe('done');
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await call();
    await eventually('it is said', () => lines.some((line) => /lines were left out/.test(line.text)));
    // By the next line that passes, which is of another call.
    expect(lines.find((line) => /lines were left out/.test(line.text))!.callId).toBeNull();
    // Of the 40,000: so many a second, and a busy machine takes some seconds.
    expect(lines.length).toBeLessThan(20_000);
    expect(Math.max(...lines.map((line) => line.text.length))).toBeLessThanOrEqual(8192);
    expect(lines.some((line) => /\p{Cc}/u.test(line.text))).toBe(false);
  });

  it('stops when its call is cancelled, and frees its runs', async () => {
    const aborted: string[] = [];
    const { call, process } = handlerProcess(define(`await models.m.run({}); return 'never';`), {
      manifest: 'models: { m: { path: m.onnx } }\n',
    });
    const cancel = new AbortController();
    const calling = failure(
      call('x', {
        signal: cancel.signal,
        runModel: (_model, _inputs, signal) =>
          new Promise((_, reject) => {
            signal.addEventListener('abort', () => {
              aborted.push('run');
              reject(new GpufaasError('CANCELLED', 'gone'));
            });
            setTimeout(
              () => cancel.abort(new GpufaasError('CANCELLED', 'The caller went.', { suggestions: ['-'] })),
              30,
            );
          }),
      }),
    );
    expect(await calling).toMatchObject({ code: 'CANCELLED', message: 'The caller went.' });
    expect(aborted).toEqual(['run']);
    expect(process.pid).toBeDefined();
  });

  it('is stopped fails what is under way, and leaves no process', async () => {
    const { call, process } = handlerProcess(define(`await new Promise((r) => setTimeout(r, 60_000));`));
    await process.start();
    const pid = process.pid!;
    const calling = failure(call());
    await new Promise((resolve) => setTimeout(resolve, 50));
    await process.stop();
    expect((await calling).code).toBe('DRAINING');
    expect(alive(pid)).toBe(false);
    expect((await failure(call())).code).toBe('DRAINING');
  });

  it.skipIf(process.platform !== 'linux')('blocks ends with its daemon, however that ends', async () => {
    const { folder, process: unused } = handlerProcess(define(`console.log('up'); for (;;);`));
    await unused.stop();
    const daemon = spawn(
      process.execPath,
      [new URL('../../fixtures/functions/parent.ts', import.meta.url).pathname, folder],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    onTestFinished(() => void daemon.kill('SIGKILL'));
    const [chunk] = (await once(daemon.stdout, 'data')) as [Buffer];
    const pid = Number(chunk.toString());
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toContain('--permission');
    daemon.kill('SIGKILL');
    await eventually('the handler is gone', () => !alive(pid));
  });

  it('has lost its folder says so, and takes nothing down with it', async () => {
    const { process: handler, call, folder, notices } = handlerProcess(define(`process.exit(1);`));
    await handler.start();
    rmSync(folder, { recursive: true });
    expect((await failure(call())).code).toBe('HANDLER_DIED');
    const error = await failure(handler.start());
    expect(error).toMatchObject({ code: 'HANDLER_ERROR', message: 'The folder of probe version 1 is gone.' });
    await eventually('it goes on trying', () => notices.length > 2);
  });

  it('leaves no process behind', () => {
    const own = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], { encoding: 'utf8' });
    expect(own.split('\n').filter((line) => line.includes('functions/entry.ts'))).toEqual([]);
  });
});
