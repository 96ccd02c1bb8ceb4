// What a device is, before anything runs on it.

export type DeviceKind = 'cpu' | 'cuda' | 'webgpu' | 'dml' | 'coreml' | 'emulated';

/** True if models are copied into memory of the device's own, which host memory figures say nothing of. */
export function ownsMemory({ kind }: Pick<Device, 'kind'>): boolean {
  return kind !== 'cpu' && kind !== 'emulated';
}

/** One device the daemon will manage, made from --devices and from what discovery found. */
export interface Device {
  /** `cpu:0`, `cuda:1`, `emulated:11`. */
  readonly id: string;
  readonly kind: DeviceKind;
  readonly index: number;
  /** For people: the processor's or the card's name. */
  readonly name: string;
  /** The budget of the device cache, in bytes. */
  readonly memoryBytes: number;
  /** Intra-op threads of each session (CPU). */
  readonly threads: number;
  /** A load may go on beside a run. */
  readonly overlap: boolean;
  /** CUDA: the card's UUID, by which the worker is pinned. */
  readonly uuid?: string;
  /** Emulated: how many times faster than the profile's milliseconds time passes (default 1). */
  readonly speed?: number;
}
