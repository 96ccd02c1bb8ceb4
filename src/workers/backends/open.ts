// Finds the backend of a device. ONNX Runtime is only imported where one that needs it is opened: in a model's thread.

import type { Device } from '../../devices/types.ts';
import type { Backend, CreateBackend } from './backend.ts';

/** True if the backend's calls never hold up the thread they are made on, so that it needs no thread of its own. */
export function runsInline(device: Device, override?: string): boolean {
  return device.kind === 'emulated' && override === undefined;
}

/**
 * True if all models of the device have to share one thread, so that loads and runs wait for each other. WebGPU's one
 * context per process fails, and takes the process along, when two threads record commands at once (seen with ONNX
 * Runtime 1.30); DirectML is taken to be no better until somebody has seen it.
 */
export function sharesThread(device: Device): boolean {
  return device.kind === 'webgpu' || device.kind === 'dml';
}

/** The backend of this device, or the one in the module at the URL `override`. */
export async function openBackend(device: Device, override?: string): Promise<Backend> {
  if (override !== undefined) {
    const module = (await import(override)) as { createBackend: CreateBackend };
    return module.createBackend(device);
  }
  switch (device.kind) {
    case 'emulated':
      return (await import('./emulated.ts')).createBackend(device);
    case 'cpu':
      return (await import('./cpu.ts')).createBackend(device);
    case 'cuda':
      return (await import('./cuda.ts')).createBackend(device);
    case 'webgpu':
      return (await import('./webgpu.ts')).createBackend(device);
    case 'dml':
    case 'coreml':
      return (await import('./unverified.ts')).createBackend(device);
  }
}
