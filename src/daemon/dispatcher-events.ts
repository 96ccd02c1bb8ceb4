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
  | { readonly type: 'quarantine'; readonly model: string; readonly barred: boolean }
  | { readonly type: 'device'; readonly device: string; readonly state: 'ready' | 'lost'; readonly reason: string };
