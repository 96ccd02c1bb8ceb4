// The least that a server can do which keeps its models in another process, as gpufaas does: node:http, a socket, and a thread that
// runs the session. No checks, no queue, no scheduling, one request at a time. What it takes more than the plain server is what the way
// to another process costs, whoever goes it.
//   node bench/serving/relay-server.ts MODEL.onnx    prints its URL; takes and gives what the plain server does

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, createServer as createSocketServer, type Socket } from 'node:net';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const HERE = new URL(import.meta.url);
/** A name that needs no file (Linux). */
const addressOf = (pid: number | string): string => `\0gpufaas-bench-${pid}`;

/** A message is the number of bytes that follow, the number of dimensions, the dimensions (u32 each), and FP32 data. */
function encode(shape: readonly number[], data: readonly Uint8Array[]): Buffer {
  let bytes = 0;
  for (const part of data) bytes += part.byteLength;
  const message = Buffer.allocUnsafeSlow(8 + 4 * shape.length + bytes);
  message.writeUInt32LE(message.byteLength - 4, 0);
  message.writeUInt32LE(shape.length, 4);
  let offset = 8;
  for (const size of shape) offset = message.writeUInt32LE(size, offset);
  for (const part of data) {
    message.set(part, offset);
    offset += part.byteLength;
  }
  return message;
}

function onMessages(socket: Socket, take: (shape: number[], data: Uint8Array<ArrayBuffer>) => void): void {
  let received: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    received = received.byteLength === 0 ? chunk : Buffer.concat([received, chunk]);
    if (received.byteLength < 4 || received.byteLength < 4 + received.readUInt32LE(0)) return;
    const dimensions = received.readUInt32LE(4);
    const shape = Array.from({ length: dimensions }, (_, index) => received.readUInt32LE(8 + 4 * index));
    const data = new Uint8Array(received.subarray(8 + 4 * dimensions));
    received = Buffer.alloc(0);
    take(shape, data);
  });
}

async function runInThread({ model, path }: { readonly model: string; readonly path: string }): Promise<void> {
  // As gpufaas has it: what spins long takes the cores from the others.
  const session = await InferenceSession.create(model, { extra: { session: { 'intra_op.spin_duration_us': '30' } } });
  const socket = connect({ path });
  onMessages(socket, (shape, bytes) => {
    const input = new Tensor('float32', new Float32Array(bytes.buffer), shape);
    void session.run({ [session.inputNames[0]!]: input }).then((results) => {
      const output = results[session.outputNames[0]!]!;
      const { buffer, byteOffset, byteLength } = output.data as Float32Array;
      socket.write(encode(output.dims, [new Uint8Array(buffer, byteOffset, byteLength)]));
    });
  });
}

async function serve(model: string): Promise<void> {
  const path = addressOf(process.pid);
  const sockets = createSocketServer().listen({ path });
  fork(HERE, [model, String(process.pid)], { execArgv: process.execArgv });
  const [lane] = (await once(sockets, 'connection')) as [Socket];
  let answer: (data: Uint8Array) => void = () => undefined;
  onMessages(lane, (_shape, data) => answer(data));
  const server = createServer((request, response) => {
    const shape = String(request.headers['x-shape']).split(',').map(Number);
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      answer = (data) => {
        response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': data.byteLength });
        response.end(data);
      };
      lane.write(encode(shape, parts));
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

const [model, parent] = process.argv.slice(2);
if (!isMainThread) await runInThread(workerData as { model: string; path: string });
else {
  process.on('disconnect', () => process.exit(0));
  if (parent === undefined) await serve(model!);
  else new Worker(HERE, { workerData: { model, path: addressOf(parent) } });
}
