// A CUDA card. The runner pins the process to it by CUDA_VISIBLE_DEVICES, so it is device 0 here.

import type { CreateBackend } from './backend.ts';
import { createOrtBackend } from './ort-session.ts';

/** Opens the one card that this process sees. */
export const createBackend: CreateBackend = (device) =>
  createOrtBackend(device, {
    executionProviders: [{ name: 'cuda', deviceId: 0 }],
    // Weights outside the arena, so that a release gives them back.
    extra: { session: { use_device_allocator_for_initializers: '1' } },
  });
