// Decodes an inference request of the Open Inference Protocol v2, JSON with or without binary tensors behind it, and
// checks it against the model's signature. Pure: runs on the main thread for small bodies, on a JSON thread for large.

import { isUtf8 } from 'node:buffer';
import { GpufaasError } from '../../errors.ts';
import { DATATYPE_BYTES, elementCount } from '../../tensors.ts';
import type { Tensor, TensorSpec } from '../../tensors.ts';
import { bytesFromJson, countBytesElements, isBinaryOnly, UnsafeInteger } from './numbers.ts';
import type { InferRequest, RequestedOutput, Signature } from './types.ts';

// No tensor has this many axes; deeper nesting is an attack or a mistake.
const MAX_DEPTH = 64;
// JSON can unfold to some twenty-five times its size in memory, and a thread that runs out of memory takes the whole
// process with it. So large texts are counted before they are parsed: what each comma and each bracket may cost.
const COUNTED_BYTES = 4 * 1024 * 1024;
const BYTES_PER_COMMA = 24;
const BYTES_PER_BRACKET = 96;
const MAX_PARSED_BYTES = 768 * 1024 * 1024;

type JsonObject = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const bad = (message: string, ...suggestions: string[]): GpufaasError =>
  new GpufaasError('BAD_REQUEST', message, { suggestions });

const badTensor = (message: string): GpufaasError => new GpufaasError('BAD_TENSOR', message);

/** Shortens and quotes a name that came from outside, for an error message. */
export function quoted(name: unknown): string {
  const text = typeof name === 'string' ? name : String(name);
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

const describe = (spec: TensorSpec): string => `${spec.datatype} [${spec.shape.join(',')}]`;

/**
 * Decodes and checks a request. `headerLength` is the value of Inference-Header-Content-Length: the JSON's bytes, with
 * binary tensors behind; null if the whole body is JSON; 0 if the whole body is the model's only input.
 * Tensors sent as binary are views of `body`. Throws BAD_REQUEST or BAD_TENSOR.
 */
export function decodeRequest(body: Uint8Array, headerLength: number | null, signature: Signature): InferRequest {
  if (headerLength === 0) return decodeRaw(body, signature);
  if (headerLength !== null && headerLength > body.byteLength) {
    throw bad(`Inference-Header-Content-Length is ${headerLength}, but the body has ${body.byteLength} bytes.`);
  }
  const text = toText(headerLength === null ? body : body.subarray(0, headerLength));
  const tail = headerLength === null ? null : body.subarray(headerLength);
  try {
    return interpret(parse(text), tail, signature);
  } catch (error) {
    if (!(error instanceof UnsafeInteger)) throw error;
  }
  // Slower and hungrier, so only for what met such a number, and not for large texts.
  try {
    if (text.length <= COUNTED_BYTES) return interpret(parseExactly(text), tail, signature);
  } catch (error) {
    if (!(error instanceof UnsafeInteger)) throw error;
  }
  throw new GpufaasError('BAD_TENSOR', 'An integer beyond 2^53 can not be read exactly here.', {
    suggestions: ['Send the tensor as binary data.'],
  });
}

function toText(bytes: Uint8Array): string {
  if (bytes.byteLength === 0) {
    throw bad('The body is empty.', 'Send an Open Inference request: {"inputs":[{"name","shape","datatype","data"}]}.');
  }
  if (!isUtf8(bytes)) throw bad('The body is not UTF-8 text.', 'Binary tensors need Inference-Header-Content-Length.');
  if (bytes.byteLength > COUNTED_BYTES && parsedBytes(bytes) > MAX_PARSED_BYTES) {
    throw new GpufaasError('BODY_TOO_LARGE', 'The JSON needs too much memory to parse.', {
      suggestions: ['Send the tensors as binary data.'],
    });
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** What a text may unfold to in memory, from above. */
function parsedBytes(bytes: Uint8Array): number {
  let commas = 0;
  let brackets = 0;
  for (const byte of bytes) {
    if (byte === 0x2c) commas++;
    else if (byte === 0x5b || byte === 0x7b) brackets++;
  }
  return 2 * bytes.byteLength + BYTES_PER_COMMA * commas + BYTES_PER_BRACKET * brackets;
}

function hasMore(text: string, character: string, limit: number): boolean {
  let at = -1;
  for (let count = 0; count <= limit; count++) {
    at = text.indexOf(character, at + 1);
    if (at < 0) return false;
  }
  return true;
}

/** Refuses nesting that no tensor has, before the parser builds it in memory. */
function refuseDeepNesting(text: string): void {
  // Searching for a character is some fifty times faster than walking, and flat data has few brackets.
  if (!hasMore(text, '[', MAX_DEPTH / 2) && !hasMore(text, '{', MAX_DEPTH / 2)) return;
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (inString) {
      if (character === 0x5c) i++;
      else if (character === 0x22) inString = false;
    } else if (character === 0x22) inString = true;
    else if (character === 0x5b || character === 0x7b) {
      if (++depth > MAX_DEPTH) throw bad(`The JSON is nested deeper than ${MAX_DEPTH} levels.`);
    } else if (character === 0x5d || character === 0x7d) depth--;
  }
}

function parseWith(text: string, reviver?: (key: string, value: unknown, context: { source: string }) => unknown) {
  try {
    return JSON.parse(text, reviver as (key: string, value: unknown) => unknown) as unknown;
  } catch (error) {
    if (error instanceof GpufaasError) throw error;
    const at = error instanceof SyntaxError ? /position (\d+)/.exec(error.message)?.[1] : undefined;
    throw bad(at === undefined ? 'The body is not valid JSON.' : `The body is not valid JSON (at character ${at}).`);
  }
}

function parse(text: string): unknown {
  refuseDeepNesting(text);
  return parseWith(text);
}

/** Integers that a double can't hold come out as BigInt. */
function parseExactly(text: string): unknown {
  return parseWith(text, (_key, value, context) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context.source)
      ? BigInt(context.source)
      : value,
  );
}

function interpret(json: unknown, tail: Uint8Array | null, signature: Signature): InferRequest {
  if (!isObject(json)) throw bad('The body must be a JSON object with "inputs".');
  const { id, inputs, outputs, parameters } = json;
  if (id !== undefined && typeof id !== 'string') throw bad('"id" must be a string.');
  if (!Array.isArray(inputs)) throw bad('"inputs" must be an array of tensors.');
  if (parameters !== undefined && !isObject(parameters)) throw bad('"parameters" must be an object.');
  const decoded = new Map<string, Tensor>();
  const cursor = { tail, offset: 0 };
  for (const input of inputs as readonly unknown[]) {
    const tensor = decodeInput(input, cursor, signature);
    if (decoded.has(tensor.name)) throw badTensor(`Input "${tensor.name}" is given twice.`);
    decoded.set(tensor.name, tensor);
  }
  if (tail !== null && cursor.offset !== tail.byteLength) {
    throw bad(`The body has ${tail.byteLength} bytes behind the JSON; its inputs account for ${cursor.offset}.`);
  }
  return {
    id: id ?? null,
    inputs: inOrder(decoded, signature),
    outputs: requestedOutputs(outputs, parameters?.['binary_data_output'] === true, signature),
  };
}

function inOrder(decoded: ReadonlyMap<string, Tensor>, signature: Signature): Tensor[] {
  return signature.inputs.map((spec) => {
    const tensor = decoded.get(spec.name);
    if (tensor === undefined) throw badTensor(`Input "${spec.name}" (${describe(spec)}) is missing.`);
    return tensor;
  });
}

function decodeInput(
  input: unknown,
  cursor: { readonly tail: Uint8Array | null; offset: number },
  signature: Signature,
): Tensor {
  if (!isObject(input) || typeof input['name'] !== 'string') throw bad('Each input must be an object with a "name".');
  const { name, shape, datatype, data, parameters } = input;
  const spec = signature.inputs.find((candidate) => candidate.name === name);
  if (spec === undefined) {
    const known = signature.inputs.map((each) => `"${each.name}" (${describe(each)})`).join(', ');
    throw badTensor(`The model has no input ${quoted(name)}; it takes ${known}.`);
  }
  if (datatype !== spec.datatype) {
    throw badTensor(`Input "${spec.name}" must be ${spec.datatype}, not ${quoted(datatype)}.`);
  }
  const dimensions = checkShape(spec, shape);
  const size = isObject(parameters) ? parameters['binary_data_size'] : undefined;
  if (isObject(parameters) && parameters['shared_memory_region'] !== undefined) {
    throw bad('Shared memory is not supported.', 'Send the tensor in the body, as JSON or as binary data.');
  }
  let bytes: Uint8Array;
  if (size !== undefined) {
    if (data !== undefined) throw badTensor(`Input "${spec.name}" has both "data" and "binary_data_size".`);
    bytes = takeBinary(spec.name, size, cursor);
  } else {
    if (data === undefined) throw badTensor(`Input "${spec.name}" has neither "data" nor "binary_data_size".`);
    bytes = fromJsonData(spec, dimensions, data);
  }
  checkByteCount(spec, dimensions, bytes);
  return { name: spec.name, datatype: spec.datatype, shape: dimensions, data: bytes };
}

function checkShape(spec: TensorSpec, shape: unknown): number[] {
  if (!Array.isArray(shape) || !shape.every((each) => Number.isSafeInteger(each) && (each as number) >= 0)) {
    throw badTensor(`Input "${spec.name}": "shape" must be an array of whole numbers, as in ${describe(spec)}.`);
  }
  const dimensions = shape as number[];
  const got = `[${dimensions.slice(0, 16).join(',')}${dimensions.length > 16 ? ',…' : ''}]`;
  if (dimensions.length !== spec.shape.length) {
    throw badTensor(
      `Input "${spec.name}" must have ${spec.shape.length} dimensions, [${spec.shape.join(',')}] with -1 free; got ${got}.`,
    );
  }
  for (const [axis, expected] of spec.shape.entries()) {
    if (expected >= 0 && dimensions[axis] !== expected) {
      throw badTensor(`Input "${spec.name}": dimension ${axis} must be ${expected}, not ${dimensions[axis]} (${got}).`);
    }
  }
  if (!Number.isSafeInteger(elementCount(dimensions)))
    throw badTensor(`Input "${spec.name}": shape ${got} is too large.`);
  return dimensions;
}

function takeBinary(
  name: string,
  size: unknown,
  cursor: { readonly tail: Uint8Array | null; offset: number },
): Uint8Array {
  if (!Number.isSafeInteger(size) || (size as number) < 0) {
    throw badTensor(`Input "${name}": "binary_data_size" must be a whole number of bytes.`);
  }
  if (cursor.tail === null) {
    throw bad(
      `Input "${name}" is binary, but the request says not where the JSON ends.`,
      'Set the header Inference-Header-Content-Length to the bytes of the JSON.',
    );
  }
  const end = cursor.offset + (size as number);
  if (end > cursor.tail.byteLength) {
    const left = cursor.tail.byteLength - cursor.offset;
    throw badTensor(
      `Input "${name}": "binary_data_size" is ${String(size)}, but only ${left} bytes are left in the body.`,
    );
  }
  const bytes = cursor.tail.subarray(cursor.offset, end);
  cursor.offset = end;
  return bytes;
}

function checkByteCount(spec: TensorSpec, dimensions: readonly number[], bytes: Uint8Array): void {
  const count = elementCount(dimensions);
  if (spec.datatype === 'BYTES') {
    if (countBytesElements(bytes) !== count) {
      throw badTensor(`Input "${spec.name}": the data is not ${count} length-prefixed elements.`);
    }
    return;
  }
  const expected = count * DATATYPE_BYTES[spec.datatype];
  if (bytes.byteLength !== expected) {
    throw badTensor(
      `Input "${spec.name}": shape [${dimensions.join(',')}] of ${spec.datatype} needs ${expected} bytes, not ${bytes.byteLength}.`,
    );
  }
}

function fromJsonData(spec: TensorSpec, dimensions: readonly number[], data: unknown): Uint8Array {
  if (!Array.isArray(data)) throw badTensor(`Input "${spec.name}": "data" must be an array.`);
  const flat = Array.isArray(data[0]) ? flatten(spec.name, data, dimensions) : (data as unknown[]);
  const count = elementCount(dimensions);
  if (flat.length !== count && !isBinaryOnly(spec.datatype)) {
    throw badTensor(
      `Input "${spec.name}": shape [${dimensions.join(',')}] needs ${count} elements; "data" has ${flat.length}.`,
    );
  }
  return bytesFromJson(spec.name, spec.datatype, flat);
}

/** Nested rows, checked against the shape level by level. */
function flatten(name: string, data: readonly unknown[], dimensions: readonly number[]): unknown[] {
  let level: readonly unknown[] = [data];
  for (const [axis, dimension] of dimensions.entries()) {
    const next: unknown[] = [];
    for (const row of level) {
      if (!Array.isArray(row) || row.length !== dimension) {
        throw badTensor(
          `Input "${name}": the rows of "data" do not have the shape [${dimensions.join(',')}] (axis ${axis}).`,
        );
      }
      for (const item of row as readonly unknown[]) next.push(item);
    }
    level = next;
  }
  return level as unknown[];
}

function requestedOutputs(outputs: unknown, binaryDefault: boolean, signature: Signature): RequestedOutput[] {
  if (outputs === undefined || (Array.isArray(outputs) && outputs.length === 0)) {
    return signature.outputs.map((spec) => ({ name: spec.name, binary: binaryDefault }));
  }
  if (!Array.isArray(outputs)) throw bad('"outputs" must be an array.');
  const requested: RequestedOutput[] = [];
  for (const output of outputs as readonly unknown[]) {
    if (!isObject(output) || typeof output['name'] !== 'string')
      throw bad('Each output must be an object with a "name".');
    const { name, parameters } = output;
    if (!signature.outputs.some((spec) => spec.name === name)) {
      const known = signature.outputs.map((spec) => `"${spec.name}"`).join(', ');
      throw badTensor(`The model has no output ${quoted(name)}; it gives ${known}.`);
    }
    if (requested.some((each) => each.name === name)) throw badTensor(`Output ${quoted(name)} is asked for twice.`);
    const binary = isObject(parameters) ? parameters['binary_data'] : undefined;
    requested.push({ name: name as string, binary: typeof binary === 'boolean' ? binary : binaryDefault });
  }
  return requested;
}

/** A raw request: the body is the only input's data; at most one dimension is free, and the size gives it. */
function decodeRaw(body: Uint8Array, signature: Signature): InferRequest {
  const spec = signature.inputs[0];
  if (spec === undefined || signature.inputs.length !== 1) {
    throw bad(`A raw binary body needs a model with one input; this one has ${signature.inputs.length}.`);
  }
  const fixed = elementCount(spec.shape.filter((dimension) => dimension >= 0));
  const free = spec.shape.filter((dimension) => dimension < 0).length;
  if (free > 1) throw bad(`Input "${spec.name}" has ${free} free dimensions; a raw binary body can give one.`);
  let data = body;
  let count: number;
  if (spec.datatype === 'BYTES') {
    data = Buffer.concat([Buffer.from(Uint32Array.of(body.byteLength).buffer), body]);
    count = 1;
  } else {
    count = body.byteLength / DATATYPE_BYTES[spec.datatype];
  }
  const shape = spec.shape.map((dimension) => (dimension < 0 ? count / fixed : dimension));
  if (elementCount(shape) !== count || !shape.every(Number.isInteger)) {
    throw badTensor(`Input "${spec.name}" is ${describe(spec)}; a body of ${body.byteLength} bytes does not fill it.`);
  }
  return {
    id: null,
    inputs: [{ name: spec.name, datatype: spec.datatype, shape, data }],
    outputs: signature.outputs.map((output) => ({ name: output.name, binary: true })),
  };
}
