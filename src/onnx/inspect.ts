// What an ONNX file says of itself: signature, operator sets, external weights, metadata. Reads the structure only, skips
// weights of any size, and answers BAD_MODEL to whatever is no model.

import { basename } from 'node:path';

import { GpufaasError } from '../errors.ts';
import type { TensorSpec } from '../tensors.ts';
import { datatypeOf, elementTypeName } from './datatypes.ts';
import type { ExternalFile } from './external.ts';
import { badModel, fields, integer, message, newFieldBudget, text } from './fields.ts';
import type { Field, FieldBudget, Range } from './fields.ts';
import { refuseForeignFormat } from './formats.ts';
import { memorySource, withFileSource } from './source.ts';
import type { ByteSource } from './source.ts';

/** One input or output. `anyRank` is set if the model leaves even the number of dimensions open; `shape` is [-1] then. */
export interface OnnxTensorSpec extends TensorSpec {
  readonly anyRank?: true;
}

/** What an ONNX file says of itself. */
export interface OnnxInspection {
  readonly irVersion: number;
  readonly producer: string;
  /** Operator sets it needs; the domain of the standard operators is ''. */
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  /** What a caller has to give: graph inputs that are no initializers. A free dimension is -1. */
  readonly inputs: readonly OnnxTensorSpec[];
  readonly outputs: readonly OnnxTensorSpec[];
  /** Files of weights beside the model, each once, wherever in the graph they are named. Check with `externalPath`. */
  readonly externalFiles: readonly ExternalFile[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Operators in the main graph. */
  readonly nodeCount: number;
}

/** Inspects a model in memory or in a file. BAD_MODEL if it is none, FILE_NOT_FOUND if the file can't be read. */
export function inspectOnnx(model: Uint8Array | string): OnnxInspection {
  if (typeof model !== 'string') return inspectSource(memorySource(model));
  try {
    return withFileSource(model, inspectSource);
  } catch (error) {
    if (error instanceof GpufaasError) throw error;
    if (error instanceof RangeError) throw changed(model);
    const reason = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw new GpufaasError('FILE_NOT_FOUND', `The model file ${basename(model)} can't be read${reason}.`, {
      cause: error,
      suggestions: ['Check that the path names a file that you may read.'],
    });
  }
}

// Deeper than any model nests If and Loop; guards the stack against a file made to nest without end.
const MAX_DEPTH = 64;

interface Walk {
  readonly source: ByteSource;
  readonly budget: FieldBudget;
  readonly external: Map<string, number>;
}

function inspectSource(source: ByteSource): OnnxInspection {
  refuseForeignFormat(source);
  const walk: Walk = { source, budget: newFieldBudget(), external: new Map() };
  const each = (range: Range): Generator<Field> => fields(source, range, walk.budget);
  let irVersion = 0;
  let producer = '';
  let graph: Range | undefined;
  const opsets: { domain: string; version: number }[] = [];
  const metadata = new Map<string, string>();
  for (const field of each({ start: 0, end: source.size })) {
    if (field.number === 1) irVersion = integer(field);
    else if (field.number === 2) producer = text(source, field);
    else if (field.number === 7) graph = message(field);
    else if (field.number === 8) opsets.push(readOpset(walk, message(field)));
    else if (field.number === 14) metadata.set(...readPair(walk, message(field)));
    else if (field.number === 25) walkFunction(walk, message(field));
  }
  if (graph === undefined) {
    throw badModel(
      'The file holds no graph, so it is no ONNX model.',
      'Check which file this is; export the model again.',
    );
  }
  if (opsets.length === 0) {
    throw badModel('The model names no operator set.', 'Export the model again with a current exporter.');
  }
  const main = walkGraph(walk, graph, 0);
  const inputs = main.inputs
    .filter((value) => !main.initializers.has(value.name))
    .map((value) => toSpec(value, 'input'));
  const outputs = main.outputs.map((value) => toSpec(value, 'output'));
  if (outputs.length === 0) {
    throw badModel('The model has no outputs.', 'Export the model again; without outputs there is nothing to answer.');
  }
  const externalFiles = [...walk.external].map(([location, bytes]) => ({ location, bytes }));
  return {
    irVersion,
    producer,
    opsets,
    inputs,
    outputs,
    externalFiles,
    metadata: Object.fromEntries(metadata),
    nodeCount: main.nodes,
  };
}

interface GraphParts {
  readonly inputs: Value[];
  readonly outputs: Value[];
  readonly initializers: Set<string>;
  nodes: number;
}

function walkGraph(walk: Walk, range: Range, depth: number): GraphParts {
  if (depth > MAX_DEPTH) {
    throw badModel(
      'The model nests graphs deeper than can be run.',
      'Export the model again; the file may be damaged.',
    );
  }
  const parts: GraphParts = { inputs: [], outputs: [], initializers: new Set(), nodes: 0 };
  for (const field of fields(walk.source, range, walk.budget)) {
    if (field.number === 1) {
      parts.nodes++;
      walkNode(walk, message(field), depth);
    } else if (field.number === 5) parts.initializers.add(walkTensor(walk, message(field)));
    else if (field.number === 15) parts.initializers.add(walkSparse(walk, message(field)));
    // The values of subgraphs are their own business.
    else if (field.number === 11 && depth === 0) parts.inputs.push(readValue(walk, message(field)));
    else if (field.number === 12 && depth === 0) parts.outputs.push(readValue(walk, message(field)));
  }
  return parts;
}

function walkFunction(walk: Walk, range: Range): void {
  for (const field of fields(walk.source, range, walk.budget)) {
    if (field.number === 7) walkNode(walk, message(field), 1);
  }
}

function walkNode(walk: Walk, range: Range, depth: number): void {
  for (const field of fields(walk.source, range, walk.budget)) {
    if (field.number !== 5) continue;
    for (const part of fields(walk.source, message(field), walk.budget)) {
      if (part.number === 5 || part.number === 10) walkTensor(walk, message(part));
      else if (part.number === 6 || part.number === 11) walkGraph(walk, message(part), depth + 1);
      else if (part.number === 22 || part.number === 23) walkSparse(walk, message(part));
    }
  }
}

function walkSparse(walk: Walk, range: Range): string {
  let name = '';
  for (const field of fields(walk.source, range, walk.budget)) {
    if (field.number === 1) name = walkTensor(walk, message(field));
    else if (field.number === 2) walkTensor(walk, message(field));
  }
  return name;
}

/** Notes the external file of a tensor, if it has one, and gives the tensor's name. */
function walkTensor(walk: Walk, range: Range): string {
  let name = '';
  let isExternal = false;
  const entries = new Map<string, string>();
  for (const field of fields(walk.source, range, walk.budget)) {
    if (field.number === 8) name = text(walk.source, field);
    else if (field.number === 13) entries.set(...readPair(walk, message(field)));
    else if (field.number === 14) isExternal = integer(field) === 1;
  }
  if (!isExternal) return name;
  const location = entries.get('location');
  if (location === undefined || location === '') {
    throw badModel(
      `The weights of ${JSON.stringify(name)} are said to lie in another file, but none is named.`,
      'Save the model again with its external data.',
    );
  }
  const end = byteCount(entries.get('offset'), name) + byteCount(entries.get('length'), name);
  walk.external.set(location, Math.max(walk.external.get(location) ?? 0, end));
  return name;
}

function byteCount(value: string | undefined, tensor: string): number {
  if (value === undefined || value === '') return 0;
  const count = Number(value);
  if (/^\d{1,15}$/u.test(value)) return count;
  throw badModel(
    `The weights of ${JSON.stringify(tensor)} lie at ${JSON.stringify(value.slice(0, 50))} of another file, which is no place.`,
    'Save the model again with its external data.',
  );
}

interface Value {
  readonly name: string;
  readonly elementType: number | undefined;
  readonly shape: number[] | undefined;
}

function readValue(walk: Walk, range: Range): Value {
  let name = '';
  let elementType: number | undefined;
  let shape: number[] | undefined;
  for (const field of fields(walk.source, range, walk.budget)) {
    if (field.number === 1) name = text(walk.source, field);
    if (field.number !== 2) continue;
    for (const type of fields(walk.source, message(field), walk.budget)) {
      if (type.number !== 1) continue;
      elementType = 0;
      for (const part of fields(walk.source, message(type), walk.budget)) {
        if (part.number === 1) elementType = integer(part);
        else if (part.number === 2) shape = readShape(walk, message(part));
      }
    }
  }
  return { name, elementType, shape };
}

function readShape(walk: Walk, range: Range): number[] {
  const shape: number[] = [];
  for (const field of fields(walk.source, range, walk.budget)) {
    if (field.number !== 1) continue;
    let size = -1;
    for (const part of fields(walk.source, message(field), walk.budget)) {
      if (part.number === 1) size = Math.max(-1, integer(part));
    }
    shape.push(size);
  }
  return shape;
}

function toSpec({ name, elementType, shape }: Value, role: 'input' | 'output'): OnnxTensorSpec {
  if (elementType === undefined) {
    throw badModel(
      `The ${role} ${JSON.stringify(name)} is no tensor, and only tensors can be sent.`,
      'Export the model with tensors only (scikit-learn: zipmap off).',
    );
  }
  const datatype = datatypeOf(elementType);
  if (datatype === undefined) {
    throw badModel(
      `The ${role} ${JSON.stringify(name)} is of ${elementTypeName(elementType)}, which can't be sent.`,
      'Put a Cast in front of it or behind it and export the model again.',
    );
  }
  return shape === undefined ? { name, datatype, shape: [-1], anyRank: true } : { name, datatype, shape };
}

function readOpset(walk: Walk, range: Range): { domain: string; version: number } {
  let domain = '';
  let version = 0;
  for (const field of fields(walk.source, range, walk.budget)) {
    if (field.number === 1) domain = text(walk.source, field);
    else if (field.number === 2) version = integer(field);
  }
  // ai.onnx is the other name of the standard operators.
  return { domain: domain === 'ai.onnx' ? '' : domain, version };
}

function readPair(walk: Walk, range: Range): [string, string] {
  let key = '';
  let value = '';
  for (const field of fields(walk.source, range, walk.budget)) {
    if (field.number === 1) key = text(walk.source, field);
    else if (field.number === 2) value = text(walk.source, field);
  }
  return [key, value];
}

function changed(path: string): GpufaasError {
  return badModel(
    `The model file ${basename(path)} changed while it was read.`,
    'Wait until it is written, then try again.',
  );
}
