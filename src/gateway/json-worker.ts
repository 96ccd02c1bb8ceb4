// One thread of the JSON pool: decodes requests and encodes answers that would hold up the main thread. Holds no state;
// buffers come and go by transfer.

import type { Transferable } from 'node:worker_threads';
import { parentPort } from 'node:worker_threads';
import { toGpufaasError } from '../errors.ts';
import { encodeAnswer } from './open-inference/answer.ts';
import { decodeRequest } from './open-inference/request.ts';
import type { JsonJob, JsonReply } from './json-pool.ts';

function perform(job: JsonJob): JsonReply {
  try {
    return job.kind === 'decode'
      ? { ok: true, kind: 'decode', value: decodeRequest(job.body, job.headerLength, job.signature) }
      : { ok: true, kind: 'encode', value: encodeAnswer(job.head, job.outputs, job.requested) };
  } catch (thrown) {
    const { code, message, suggestions } = toGpufaasError(thrown);
    return { ok: false, code, message, suggestions };
  }
}

/** The buffers of a reply, each once; small pooled ones are left to be copied. */
function transferables(reply: JsonReply): Transferable[] {
  if (!reply.ok) return [];
  const views = reply.kind === 'decode' ? reply.value.inputs.map((input) => input.data) : reply.value.parts;
  const whole = new Set<ArrayBuffer>();
  for (const view of views) {
    if (view.buffer instanceof ArrayBuffer && view.buffer.byteLength > Buffer.poolSize) whole.add(view.buffer);
  }
  return [...whole];
}

parentPort?.on('message', (job: JsonJob) => {
  const reply = perform(job);
  parentPort?.postMessage(reply, transferables(reply));
});
