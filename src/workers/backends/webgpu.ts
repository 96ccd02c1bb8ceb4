// WebGPU, through the native driver (Vulkan on Linux). Outputs are always copied to host memory: reading a
// `gpu-buffer` output aborts the process.

import type { CreateBackend } from './backend.ts';
import { createOrtBackend } from './ort-session.ts';

/** Opens the default adapter. */
export const createBackend: CreateBackend = (device) => createOrtBackend(device, { executionProviders: ['webgpu'] });
