// Whether ONNX Runtime's CUDA libraries are installed: they are too large for npm and come in a step of their own.

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The folder of the installed onnxruntime-node package. */
export function runtimeFolder(): string {
  const main = createRequire(import.meta.url).resolve('onnxruntime-node');
  return dirname(dirname(main));
}

/** True if this platform can have them at all. */
export function cudaSupported(platform: string = process.platform, arch: string = process.arch): boolean {
  return platform === 'linux' && arch === 'x64';
}

/** True if the CUDA libraries lie beside the runtime: the provider, and the bridge that loads it, which is copied after it. */
export function cudaInstalled(folder: string = runtimeFolder()): boolean {
  const libraries = join(folder, 'bin', 'napi-v6', process.platform, process.arch);
  return ['cuda', 'shared'].every((name) => existsSync(join(libraries, `libonnxruntime_providers_${name}.so`)));
}
