// The mechanisms of `locality` that can be switched off by name, each with what it does: for `--disable`, for the
// ablation table, and for nothing else.

/** Name and effect of each mechanism. */
export const MECHANISMS = {
  overlap: 'loads go on beside runs where a device can do that',
  economics: 'a model that is resident is loaded once more when that saves its queue more than it costs others',
  replicas: 'popular models are copied in the background',
  'value-eviction': 'what is worth least per byte goes first, not what was used least recently',
  flexibility: 'runs go where they stand least in the way, and requests with few alternatives go first',
  fairness: 'the bound in time on being overtaken, and loads for those who were overtaken long',
  batching: 'requests for one model run together where the model allows it',
  admission: 'requests that can no longer meet their deadline are refused at once',
  hints: 'a model is loaded when an invocation arrives that will probably want it',
} as const satisfies Record<string, string>;

/** The name of one mechanism. */
export type Mechanism = keyof typeof MECHANISMS;

/** Which mechanisms are on. */
export type Switches = Readonly<Record<Mechanism, boolean>>;

/** All on but those named; unknown names are left to whoever reads the command line. */
export function switchesWithout(disabled: readonly string[] = []): Switches {
  const off = new Set(disabled);
  const entries = Object.keys(MECHANISMS).map((name) => [name, !off.has(name)] as const);
  return Object.fromEntries(entries) as Record<Mechanism, boolean>;
}
