// Builds ONNX models from scratch: what the trainers of the templates and the tests write their networks with. Says what
// it is told; whether the graph makes sense is ONNX Runtime's to judge.

import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

import { DATATYPE_BYTES, elementCount } from '../tensors.ts';
import type { Datatype } from '../tensors.ts';
import { ELEMENT_TYPES } from './datatypes.ts';

/** A constant tensor. Strings for BYTES; else the elements little endian, as bytes or any typed array. */
export interface Constant {
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: NodeJS.TypedArray | readonly string[];
}

/** The value of a node's attribute, by its ONNX type. */
export type Attribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly text: string }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] }
  | { readonly tensor: Constant }
  | { readonly graph: OnnxGraph };

/** A dimension: a size, or the name of a free one. */
export type Dimension = number | string;

interface Node {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly domain: string;
}

interface Value {
  readonly name: string;
  readonly datatype: Datatype;
  /** null: any rank. */
  readonly shape: readonly Dimension[] | null;
}

/** Where large constants go instead of the model file. */
interface ExternalSink {
  readonly location: string;
  readonly minBytes: number;
  readonly chunks: Uint8Array[];
  size: number;
}

// Readers map external weights; pages are what they map.
const EXTERNAL_ALIGNMENT = 4096;

/** A graph under construction; also the body of If and Loop. Every method gives the graph back. */
export class OnnxGraph {
  readonly name: string;
  readonly #inputs: Value[] = [];
  readonly #outputs: Value[] = [];
  readonly #constants: (readonly [string, Constant])[] = [];
  readonly #nodes: Node[] = [];

  constructor(name = 'main') {
    this.name = name;
  }

  /** Declares an input; a text dimension is free. */
  input(name: string, datatype: Datatype, shape: readonly Dimension[] | null): this {
    this.#inputs.push({ name, datatype, shape });
    return this;
  }

  /** Declares an output. */
  output(name: string, datatype: Datatype, shape: readonly Dimension[] | null): this {
    this.#outputs.push({ name, datatype, shape });
    return this;
  }

  /** Adds weights; throws a RangeError if the data does not fill the shape. */
  constant(name: string, constant: Constant): this {
    this.#constants.push([name, constant]);
    return this;
  }

  /** Adds FP32 weights. */
  weights(name: string, shape: readonly number[], data: Float32Array): this {
    return this.constant(name, { datatype: 'FP32', shape, data });
  }

  /** Adds INT64 numbers, as shapes and axes are given. */
  integers(name: string, values: readonly number[]): this {
    return this.constant(name, { datatype: 'INT64', shape: [values.length], data: BigInt64Array.from(values, BigInt) });
  }

  /** Adds an operator; nodes run in the order added. */
  node(
    operator: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    domain = '',
  ): this {
    this.#nodes.push({ operator, inputs, outputs, attributes, domain });
    return this;
  }

  /** Writes the graph's fields into a message that the caller has opened. */
  write(writer: BinaryWriter, external: ExternalSink | undefined): void {
    for (const node of this.#nodes) embed(writer, 1, () => writeNode(writer, node, external));
    writer.tag(2, WireType.LengthDelimited).string(this.name);
    for (const [name, constant] of this.#constants) {
      embed(writer, 5, () => writeConstant(writer, name, constant, external));
    }
    for (const value of this.#inputs) embed(writer, 11, () => writeValue(writer, value));
    for (const value of this.#outputs) embed(writer, 12, () => writeValue(writer, value));
  }
}

/** A whole model. Encodes to the same bytes every time. */
export class OnnxModel extends OnnxGraph {
  readonly #opset: number;
  readonly #irVersion: number;
  readonly #metadata: Readonly<Record<string, string>>;

  /** Operator set 17 and IR version 8 by default: old enough for every runtime in use. */
  constructor(
    options: { name?: string; opset?: number; irVersion?: number; metadata?: Readonly<Record<string, string>> } = {},
  ) {
    super(options.name);
    this.#opset = options.opset ?? 17;
    this.#irVersion = options.irVersion ?? 8;
    this.#metadata = options.metadata ?? {};
  }

  /** The model as one file's bytes. */
  encode(): Uint8Array {
    return this.#encode(undefined);
  }

  /** The model with constants of `minBytes` or more in a second file, which belongs at `location` beside the first. */
  encodeExternal(location: string, minBytes = 1024): { model: Uint8Array; data: Uint8Array } {
    const sink: ExternalSink = { location, minBytes, chunks: [], size: 0 };
    const model = this.#encode(sink);
    return { model, data: Buffer.concat(sink.chunks) };
  }

  #encode(external: ExternalSink | undefined): Uint8Array {
    const writer = new BinaryWriter();
    writer.tag(1, WireType.Varint).int64(this.#irVersion);
    writer.tag(2, WireType.LengthDelimited).string('gpufaas');
    embed(writer, 7, () => this.write(writer, external));
    embed(writer, 8, () => writer.tag(2, WireType.Varint).int64(this.#opset));
    for (const [key, value] of Object.entries(this.#metadata)) embed(writer, 14, () => writePair(writer, key, value));
    return writer.finish();
  }
}

function embed(writer: BinaryWriter, field: number, write: () => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write();
  writer.join();
}

function writePair(writer: BinaryWriter, key: string, value: string): void {
  writer.tag(1, WireType.LengthDelimited).string(key);
  writer.tag(2, WireType.LengthDelimited).string(value);
}

function writeNode(writer: BinaryWriter, node: Node, external: ExternalSink | undefined): void {
  for (const name of node.inputs) writer.tag(1, WireType.LengthDelimited).string(name);
  for (const name of node.outputs) writer.tag(2, WireType.LengthDelimited).string(name);
  writer.tag(4, WireType.LengthDelimited).string(node.operator);
  for (const [name, attribute] of Object.entries(node.attributes)) {
    embed(writer, 5, () => writeAttribute(writer, name, attribute, external));
  }
  if (node.domain !== '') writer.tag(7, WireType.LengthDelimited).string(node.domain);
}

function writeAttribute(
  writer: BinaryWriter,
  name: string,
  attribute: Attribute,
  external: ExternalSink | undefined,
): void {
  const type = (code: number): BinaryWriter => writer.tag(20, WireType.Varint).int32(code);
  writer.tag(1, WireType.LengthDelimited).string(name);
  if ('float' in attribute) {
    writer.tag(2, WireType.Bit32).float(attribute.float);
    type(1);
  } else if ('int' in attribute) {
    writer.tag(3, WireType.Varint).int64(attribute.int);
    type(2);
  } else if ('text' in attribute) {
    writer.tag(4, WireType.LengthDelimited).string(attribute.text);
    type(3);
  } else if ('tensor' in attribute) {
    embed(writer, 5, () => writeConstant(writer, '', attribute.tensor, external));
    type(4);
  } else if ('graph' in attribute) {
    embed(writer, 6, () => attribute.graph.write(writer, external));
    type(5);
  } else if ('floats' in attribute) {
    for (const value of attribute.floats) writer.tag(7, WireType.Bit32).float(value);
    type(6);
  } else {
    for (const value of attribute.ints) writer.tag(8, WireType.Varint).int64(value);
    type(7);
  }
}

function writeConstant(
  writer: BinaryWriter,
  name: string,
  { datatype, shape, data }: Constant,
  external: ExternalSink | undefined,
): void {
  for (const size of shape) writer.tag(1, WireType.Varint).int64(size);
  writer.tag(2, WireType.Varint).int32(ELEMENT_TYPES[datatype]);
  if (name !== '') writer.tag(8, WireType.LengthDelimited).string(name);
  if (!ArrayBuffer.isView(data)) {
    for (const value of data) writer.tag(6, WireType.LengthDelimited).string(value);
    return;
  }
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (datatype === 'BYTES' || bytes.length !== elementCount(shape) * DATATYPE_BYTES[datatype]) {
    throw new RangeError(`${name || 'A constant'} of shape [${shape.join(', ')}] has ${bytes.length} bytes of data.`);
  }
  if (external === undefined || bytes.length < external.minBytes) {
    writer.tag(9, WireType.LengthDelimited).bytes(bytes);
    return;
  }
  const padding = (EXTERNAL_ALIGNMENT - (external.size % EXTERNAL_ALIGNMENT)) % EXTERNAL_ALIGNMENT;
  external.chunks.push(new Uint8Array(padding), bytes);
  const offset = external.size + padding;
  external.size = offset + bytes.length;
  const place = { location: external.location, offset: String(offset), length: String(bytes.length) };
  for (const [key, value] of Object.entries(place)) embed(writer, 13, () => writePair(writer, key, value));
  writer.tag(14, WireType.Varint).int32(1);
}

function writeValue(writer: BinaryWriter, { name, datatype, shape }: Value): void {
  writer.tag(1, WireType.LengthDelimited).string(name);
  embed(writer, 2, () =>
    embed(writer, 1, () => {
      writer.tag(1, WireType.Varint).int32(ELEMENT_TYPES[datatype]);
      if (shape === null) return;
      embed(writer, 2, () => {
        for (const dimension of shape) {
          embed(writer, 1, () => {
            if (typeof dimension === 'number') writer.tag(1, WireType.Varint).int64(dimension);
            else writer.tag(2, WireType.LengthDelimited).string(dimension);
          });
        }
      });
    }),
  );
}
