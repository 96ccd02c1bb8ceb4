// How a load is to be done, decided just before it begins.

import type { Device } from '../devices/types.ts';
import type { LoadableModel } from '../workers/types.ts';
import type { LoadTier } from './observations.ts';

/** How one load is done: what the worker is given, and where its bytes come from. */
export interface LoadPlan {
  readonly model: LoadableModel;
  readonly tier: LoadTier;
  /** To be called once when the load has ended; null: it failed. */
  ended(loadMs: number | null): void;
}

/** Looks at a model's files just before they are loaded; a rejection (BAD_MODEL) is the load's failure. */
export type BeforeLoad = (model: LoadableModel, device: Device) => Promise<LoadPlan | undefined>;
