// Walks the fields of a protobuf message without decoding what nobody asks for. Every length is checked against the
// message around it, so that cut or mutated bytes end in a BAD_MODEL that says where.

import { WireType } from '@bufbuild/protobuf/wire';

import { GpufaasError } from '../errors.ts';
import type { ByteSource } from './source.ts';

/** A stretch of a source: [start, end). */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** One field: `varint` for the wire type of that name (a wrapped 64-bit integer), `range` for all others. */
export interface Field {
  readonly number: number;
  readonly wire: WireType;
  readonly varint: bigint;
  readonly range: Range;
}

// A real model has some millions of fields at most; a file of nothing but tiny fields is refused before it costs minutes.
const MAX_FIELDS = 20_000_000;

/** How many fields one inspection may still visit. */
export interface FieldBudget {
  left: number;
}

/** A budget for one file. */
export function newFieldBudget(): FieldBudget {
  return { left: MAX_FIELDS };
}

/** A BAD_MODEL for bytes that are no ONNX. */
export function badModel(message: string, suggestion: string): GpufaasError {
  return new GpufaasError('BAD_MODEL', message, { suggestions: [suggestion] });
}

/** The fields of the message in `range`, in file order. */
export function* fields(source: ByteSource, range: Range, budget: FieldBudget): Generator<Field> {
  let at = range.start;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (at >= range.end) throw cut(at, 1, 0);
      const byte = source.byte(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw malformed(at);
  };
  const take = (length: number): Range => {
    if (length > range.end - at) throw cut(at, length, range.end - at);
    const taken = { start: at, end: at + length };
    at += length;
    return taken;
  };
  while (at < range.end) {
    if (--budget.left < 0) {
      throw badModel('This file has more parts than any model.', 'Export the model again; the file is damaged.');
    }
    const fieldAt = at;
    const tag = Number(varint());
    const number = tag >>> 3;
    const wire: WireType = tag & 7;
    if (number === 0 || tag > 0xffffffff) throw malformed(fieldAt);
    if (wire === WireType.Varint) {
      const start = at;
      const value = varint();
      yield { number, wire, varint: value, range: { start, end: at } };
    } else if (wire === WireType.LengthDelimited) {
      const length = varint();
      yield { number, wire, varint: 0n, range: take(Number(length)) };
    } else if (wire === WireType.Bit64 || wire === WireType.Bit32) {
      yield { number, wire, varint: 0n, range: take(wire === WireType.Bit64 ? 8 : 4) };
    } else {
      throw malformed(fieldAt);
    }
  }
}

/** The text of a length-delimited field; BAD_MODEL if it is no UTF-8 or longer than a name can be. */
export function text(source: ByteSource, { range, wire }: Field): string {
  if (wire !== WireType.LengthDelimited) throw malformed(range.start);
  const length = range.end - range.start;
  if (length > 1_000_000) throw malformed(range.start);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(source.bytes(range.start, length));
  } catch (error) {
    if (error instanceof RangeError) throw error;
    throw malformed(range.start);
  }
}

/** The range of an embedded message; BAD_MODEL if the field is none. */
export function message({ range, wire }: Field): Range {
  if (wire !== WireType.LengthDelimited) throw malformed(range.start);
  return range;
}

/** A varint field as a signed whole number; BAD_MODEL if it is none or beyond 2^53. */
export function integer({ range, wire, varint }: Field): number {
  if (wire !== WireType.Varint) throw malformed(range.start);
  const value = Number(BigInt.asIntN(64, varint));
  if (!Number.isSafeInteger(value)) throw malformed(range.start);
  return value;
}

function cut(at: number, wanted: number, left: number): GpufaasError {
  return badModel(
    `The model file is cut off or damaged: at byte ${at} it announces ${wanted} bytes and has ${left}.`,
    'Copy or export the file again and compare its size with the original.',
  );
}

function malformed(at: number): GpufaasError {
  return badModel(
    `The model file is damaged or no ONNX: byte ${at} makes no sense there.`,
    'Check that the file is an ONNX model; copy or export it again.',
  );
}
