// The CPU device: ONNX Runtime's own kernels on a share of the cores.

import type { CreateBackend } from './backend.ts';
import { createOrtBackend } from './ort-session.ts';

/** Opens the CPU. */
export const createBackend: CreateBackend = (device) => createOrtBackend(device, { executionProviders: ['cpu'] });
