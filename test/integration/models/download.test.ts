import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { download } from '../../../src/models/download.ts';

const BODY = Buffer.alloc(20_000_000, 'gpufaas');

it('A server that closes the connection behind a body that is still being written to disk is no trouble', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpufaas-download-'));
  const server = createServer((_request, response) => {
    response.writeHead(200, { connection: 'close', 'content-length': BODY.byteLength });
    response.end(BODY);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/m.onnx`);
  const { signal } = new AbortController();
  for (let i = 0; i < 10; i++) {
    const path = join(folder, 'm.onnx');
    let seen = 0;
    await download({ url, path, onProgress: (done) => (seen = done), onSize: async () => undefined, signal });
    expect(seen).toBe(BODY.byteLength);
    expect(readFileSync(path).equals(BODY)).toBe(true);
    rmSync(path);
  }
});
