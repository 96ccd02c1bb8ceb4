// Recognises files of other formats by their first bytes, so that the error names what the file is, not only what it isn't.

import { badModel } from './fields.ts';
import type { ByteSource } from './source.ts';

interface Format {
  readonly at: number;
  readonly magic: string;
  readonly name: string;
  readonly suggestion: string;
}

const EXPORT = 'Export the model to ONNX and give that file.';

const FORMATS: readonly Format[] = [
  { at: 0, magic: 'PK\x03\x04', name: 'a zip archive, perhaps a PyTorch checkpoint', suggestion: EXPORT },
  { at: 0, magic: '\x89HDF', name: 'an HDF5 file, perhaps a Keras model', suggestion: EXPORT },
  { at: 0, magic: 'GGUF', name: 'a GGUF file', suggestion: EXPORT },
  { at: 4, magic: 'TFL3', name: 'a TensorFlow Lite model', suggestion: EXPORT },
  { at: 4, magic: 'ORTM', name: 'an ORT format model', suggestion: 'Give the .onnx file it was made from.' },
  { at: 8, magic: '{"', name: 'a safetensors file', suggestion: EXPORT },
  { at: 0, magic: '\x1f\x8b', name: 'a gzip archive', suggestion: 'Unpack it first.' },
  { at: 0, magic: 'version https://git-lfs', name: 'a Git LFS pointer', suggestion: 'Fetch the file: git lfs pull' },
  { at: 0, magic: '<', name: 'a web page or XML', suggestion: 'Download the file itself, not the page about it.' },
];

/** Throws BAD_MODEL for an empty file and for formats that are easily taken for ONNX. */
export function refuseForeignFormat(source: ByteSource): void {
  if (source.size === 0) throw badModel('The model file is empty.', 'Copy or export the file again.');
  const head = Buffer.from(source.bytes(0, Math.min(source.size, 64))).toString('latin1');
  const format = FORMATS.find(({ at, magic }) => head.startsWith(magic, at));
  if (format !== undefined) throw badModel(`The file is ${format.name}, no ONNX model.`, format.suggestion);
}
