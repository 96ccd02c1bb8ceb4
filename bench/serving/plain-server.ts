// What one would write in an hour: Fastify in front of one ONNX Runtime session. The thing gpufaas is compared to.
//   node bench/serving/plain-server.ts MODEL.onnx    prints its URL; takes raw float32 bytes of `x-shape`, gives raw bytes

import Fastify from 'fastify';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const session = await InferenceSession.create(process.argv[2]!);
const app = Fastify({ bodyLimit: 64e6 });
app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

app.post('/infer', async (request, reply) => {
  const body = request.body as Buffer;
  const shape = String(request.headers['x-shape']).split(',').map(Number);
  const aligned = body.byteOffset % 4 === 0 ? body : Buffer.from(new Uint8Array(body).buffer);
  const input = new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
  const results = await session.run({ [session.inputNames[0]!]: new Tensor('float32', input, shape) });
  const output = results[session.outputNames[0]!]!.data as Float32Array;
  void reply.type('application/octet-stream');
  return Buffer.from(output.buffer, output.byteOffset, output.byteLength);
});

console.log(await app.listen({ host: '127.0.0.1', port: 0 }));
process.on('disconnect', () => process.exit(0));
