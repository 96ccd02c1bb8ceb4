// What the system knows of a model: its bytes in the store, its signature, its measured profile.

import type { TensorSpec } from '../tensors.ts';

/** A model's content in the store. Equal bytes are one model, however many functions use it. */
export interface StoredModel {
  /** sha256 over the ONNX file, and over its external data files where it has them; hex. */
  readonly sha256: string;
  /** Absolute path of the ONNX file inside the store. */
  readonly path: string;
  /** Bytes on disk, external data included. */
  readonly bytes: number;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/** Measured at deploy in a throwaway worker, refined while serving. */
export interface ModelProfile {
  /** The way it will be loaded. */
  readonly loadMs: number;
  readonly runMs: number;
  /** What is accounted on a device: weights plus the peak of a run, measured. */
  readonly memoryBytes: number;
  /** Entry i: milliseconds of a run with i + 1 rows; absent if the model has no batch axis. */
  readonly runMsByRows?: readonly number[];
  /** So many rows of different callers may share a run: that was seen to answer each as alone, and to pay; absent: not so. */
  readonly sharedRows?: number;
  /** A load with the bytes in the host cache, where that is known beforehand (emulated devices). */
  readonly hostLoadMs?: number;
  /** Where it was measured. */
  readonly device: string;
  /** Where devices have memory of their own: the figures by kind of device. */
  readonly kinds?: readonly KindProfile[];
}

/** What a model costs on one kind of device. */
export interface KindProfile extends Omit<ModelProfile, 'kinds'> {
  readonly kind: string;
  /** It could not be measured there: taken from what the CPU shows. */
  readonly estimated: boolean;
}

/** A model as functions use it: stored, checked, prepared, profiled. */
export interface Model extends StoredModel {
  /** Under which the scheduler knows it: the sha256, with a mark of the session options where there are any. */
  readonly key: string;
  readonly profile: ModelProfile;
  /** The prepared artefact, if one is used; else the original is loaded. */
  readonly preparedPath: string | null;
  /** The form that devices load which copy models, where one was made; else they load the original. */
  readonly portablePath?: string | null;
}
