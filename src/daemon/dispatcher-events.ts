// What the dispatcher tells the rest of the daemon as it happens, in terms of models and devices.

import type { GpufaasError } from '../errors.ts';

/** One thing that happened; `model` is the scheduler's key. */
export type DispatcherEvent =
  | {
      readonly type: 'load';
      readonly device: string;
      readonly model: string;
      readonly loadMs: number;
      readonly reason: string;
      readonly falseMiss: boolean;
      readonly error: GpufaasError | null;
    }
  | {
      readonly type: 'evict';
      readonly device: string;
      readonly model: string;
      readonly reason: string;
      /** Since its last use there. */
      readonly ageMs: number;
    }
  /** Instances of a resident model can be used, or could not be made. */
  | {
      readonly type: 'instances';
      readonly device: string;
      readonly model: string;
      readonly instances: number;
      readonly error: GpufaasError | null;
    }
  /** Batches that nobody asked for are given up for this model. */
  | { readonly type: 'batches-differ'; readonly device: string; readonly model: string; readonly fault: string }
  | { readonly type: 'quarantine'; readonly model: string; readonly barred: boolean }
  | { readonly type: 'device'; readonly device: string; readonly state: 'ready' | 'lost'; readonly reason: string };
