// DirectML and CoreML: the provider's name passes through to ONNX Runtime. Unverified: no such machine was at hand.

import type { CreateBackend } from './backend.ts';
import { createOrtBackend } from './ort-session.ts';

/** Opens the device with the provider of its kind. */
export const createBackend: CreateBackend = (device) => createOrtBackend(device, { executionProviders: [device.kind] });
