// ONNX Runtime as the rest of the backends use it: imported in one place, in a model's own thread only, with telemetry
// off and the workaround that its binding needs.

import type { InferenceSession as Session, Tensor as OrtValue } from 'onnxruntime-node';

// Node 24 has Float16Array, ONNX Runtime's JavaScript half then uses it, and its native half does not know it and sees
// a tensor of no bytes. Without the global, FP16 travels as Uint16Array both ways. The thread is ours alone.
Reflect.deleteProperty(globalThis, 'Float16Array');
// Read when the native library loads; the runner sets it too, before the process starts.
process.env['ORT_DISABLE_TELEMETRY'] = '1';

export type { OrtValue, Session };

const runtime = await import('onnxruntime-node');

/** The runtime's classes. */
export const { InferenceSession, Tensor: OrtTensor } = runtime.default ?? runtime;

type Results = Awaited<ReturnType<Session['run']>>;
/** Runs with checked feeds, and gives all outputs. */
export type RunSession = (feeds: Readonly<Record<string, OrtValue>>, options: Session.RunOptions) => Promise<Results>;

/**
 * The runs of a session, at once. They pass by what the package does with the arguments and results of anybody's run: the feeds were
 * checked before, and the results are what it would copy. Where a version of it keeps its native half in another place, all is done.
 */
export function runsOf(session: Session): RunSession {
  const { handler } = session as Session & { readonly handler?: { readonly run?: unknown } };
  if (typeof handler?.run !== 'function') return (feeds, options) => atOnce(() => session.run(feeds, options));
  const inner = handler as { run(feeds: object, fetches: object, options: Session.RunOptions): Promise<Results> };
  const all = Object.fromEntries(session.outputNames.map((name) => [name, null]));
  return (feeds, options) => atOnce(() => inner.run(feeds, all, options));
}

/**
 * Calls into the runtime without the turn of the event loop that its binding puts before every run (`setImmediate`). It is for callers
 * with other things to do; a model's thread has none, and the run holds it up either way.
 */
export function atOnce<T>(call: () => T): T {
  const { setImmediate } = globalThis;
  globalThis.setImmediate = now as typeof setImmediate;
  try {
    return call();
  } finally {
    globalThis.setImmediate = setImmediate;
  }
}

const now = (task: () => void): void => task();

// The smallest model there is: one Identity over one float (opset 17), written by hand in protobuf's wire format. A
// session of it proves that a provider works and makes the runtime build what the first model would otherwise wait for.
const PROBE_MODEL = 'CAg6MgoQCgF4EgF5IghJZGVudGl0eRIEdGVzdFoLCgF4EgYKBAgBEgBiCwoBeRIGCgQIARIAQgQKABAR';

/** The bytes of the probe model: input x and output y, FP32 scalars. */
export function probeModel(): Uint8Array {
  return new Uint8Array(Buffer.from(PROBE_MODEL, 'base64'));
}
