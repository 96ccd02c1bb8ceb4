// One inference from body to answer, for /v2 and for functions without a handler: decode, check, run, encode. Large JSON
// goes to another thread both ways; binary tensors are never copied here.

import type { CancelSignal } from '../cancellation.ts';
import { GpufaasError } from '../errors.ts';
import { freeBuffer, freeChunk } from '../free-buffer.ts';
import type { ErrorStyle } from './answers.ts';
import { Call, type HttpCall } from './call.ts';
import { answerCoding, packAnswer } from './compression.ts';
import type { GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import type { FoundModel } from './names.ts';
import { modelName } from './names.ts';
import { jsonBytes } from './open-inference/answer.ts';
import type { EncodedAnswer, InferRequest } from './open-inference/types.ts';
import type { CallSummary, Surface } from './platform.ts';

// From here on an answer's part has a buffer of its own, which is given back as soon as it is sent.
const LARGE_BYTES = 65_536;
const HEADER_LENGTH = 'inference-header-content-length';

// One element of a tensor becomes about this many characters of JSON for each of its bytes.
const JSON_CHARACTERS_PER_BYTE = 4;

/** The value of Inference-Header-Content-Length; null if absent. Throws BAD_REQUEST. */
function headerLength(value: string | undefined): number | null {
  if (value === undefined) return null;
  if (!/^\d{1,15}$/.test(value)) {
    throw new GpufaasError('BAD_REQUEST', 'Inference-Header-Content-Length must be a whole number of bytes.');
  }
  return Number(value);
}

/** Decodes a request on the thread that suits its size. The body is given away. */
function decode(
  context: GatewayContext,
  body: Uint8Array,
  header: string | undefined,
  { model }: FoundModel,
): InferRequest | Promise<InferRequest> {
  const length = headerLength(header);
  return (length ?? body.byteLength) > context.settings.jsonThreadBytes
    ? context.json.decode(body, length, { inputs: model.inputs, outputs: model.outputs })
    : context.headers.decode(body, length, model);
}

/** An inference that is done: what to answer, and how it went. */
export interface InferenceAnswer {
  readonly encoded: EncodedAnswer;
  readonly summary: CallSummary;
}

/** Decodes, runs and encodes one inference. `onHandOver` is called when the daemon takes it. */
export async function infer(
  context: GatewayContext,
  found: FoundModel,
  call: { readonly id: string; readonly arrivedAtMs: number; readonly surface: Surface; readonly signal: CancelSignal },
  body: { readonly bytes: Uint8Array; readonly header: string | undefined },
  onHandOver: () => void,
): Promise<InferenceAnswer> {
  const { served, model } = found;
  const decoded = decode(context, body.bytes, body.header, found);
  const request = decoded instanceof Promise ? await decoded : decoded;
  onHandOver();
  const { outputs, call: summary } = await context.platform.infer(
    {
      function: served.name,
      model: model.name,
      inputs: request.inputs,
      callId: call.id,
      surface: call.surface,
      arrivedAtMs: call.arrivedAtMs,
    },
    call.signal,
  );
  // The run is over, so its inputs were read to the end.
  freeChunk(body.bytes);
  const head = { modelName: modelName(served, model), modelVersion: String(summary.version), id: request.id };
  const large = jsonBytes(outputs, request.outputs) * JSON_CHARACTERS_PER_BYTE > context.settings.jsonThreadBytes;
  const encoded = large
    ? await context.json.encode(head, outputs, request.outputs)
    : context.answers.encode(head, outputs, request.outputs);
  return { encoded, summary };
}

/**
 * Serves one inference over HTTP, and requests with the same head that follow on its connection. `find` gives the model they mean at
 * the time, null if they are no inferences any more; it may throw.
 */
export async function serveRepeatable(
  context: GatewayContext,
  call: HttpCall,
  find: () => FoundModel | null,
  surface: Surface,
  style: ErrorStyle,
): Promise<void> {
  const { params, exchange } = call;
  await serveInference(context, call, find()!, surface);
  const serveAgain = (next: Exchange, bodyBytes: number): boolean => {
    const found = findOrNull(find);
    // What is to be refused is refused the long way.
    if (found === null || bodyBytes > found.served.maxBodyBytes) return false;
    const again = new Call(context, next, params);
    serveInference(context, again, found, surface).catch((error: unknown) => again.fail(error, style));
    return true;
  };
  context.requests.remember(exchange.request, serveAgain);
}

function findOrNull(find: () => FoundModel | null): FoundModel | null {
  try {
    return find();
  } catch {
    return null;
  }
}

async function serveInference(context: GatewayContext, call: Call, found: FoundModel, surface: Surface): Promise<void> {
  call.target = { served: found.served, surface };
  const body = call.readUnpackedBody(found.served.maxBodyBytes);
  const bytes = body instanceof Uint8Array ? body : await body;
  const { encoded, summary } = await infer(
    context,
    found,
    { id: call.id, arrivedAtMs: call.arrivedAtMs, surface, signal: call.signal },
    { bytes, header: call.header(HEADER_LENGTH) },
    () => {
      call.handedOver = true;
    },
  );
  await writeInference(call, encoded, summary);
}

/** Headers of an inference's answer besides those of the call. */
export function inferenceHeaders(encoded: EncodedAnswer): Record<string, string> {
  return encoded.headerLength === null
    ? { 'content-type': 'application/json' }
    : { 'content-type': 'application/octet-stream', [HEADER_LENGTH]: String(encoded.headerLength) };
}

async function writeInference(call: Call, encoded: EncodedAnswer, summary: CallSummary): Promise<void> {
  let parts = encoded.parts;
  const headers = inferenceHeaders(encoded);
  let bytes = 0;
  for (const part of parts) bytes += part.byteLength;
  const coding = answerCoding(call.header('accept-encoding'), bytes, encoded.headerLength !== null);
  if (coding !== null) {
    parts = [await packAnswer(parts.length === 1 ? parts[0]! : Buffer.concat(parts), coding)];
    headers['content-encoding'] = coding;
    headers['vary'] = 'accept-encoding';
  }
  call.exchange.answer(200, { ...call.answerHeaders(summary), ...headers }, parts, () => {
    for (const part of parts) if (part.byteLength >= LARGE_BYTES) freeBuffer(part);
  });
}
