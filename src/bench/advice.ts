// What should I buy? The fewest devices, and the least memory, that keep p99 under a limit for the same requests.

import type { SimulatedDevice } from '../simulation/types.ts';
import { openWorkload } from '../simulation/workloads.ts';
import type { BenchCase } from './cases.ts';
import { runCases } from './run-cases.ts';
import type { RunOptions } from './run-cases.ts';

/** One policy's answer at one working set; null where nothing keeps the limit. */
export interface Advice {
  readonly policy: string;
  readonly workingSet: number;
  readonly p99LimitMs: number;
  /** With the memory of the first device each. */
  readonly fewestDevices: Purchase | null;
  /** With as many devices as there are. */
  readonly leastMemory: Purchase | null;
}

/** Devices alike, and the p99 they give, averaged over seeds. */
export interface Purchase {
  readonly devices: number;
  readonly memoryBytes: number;
  readonly p99Ms: number;
}

const MOST_DEVICES = 1024;
/** Memory is bought in steps. */
const MEMORY_STEPS = 256;

/**
 * The advice for a group of cases that differ only in their seed. Searches by bisection, so it takes for granted that more
 * devices or more memory do not make p99 worse. Null if the signal came first.
 */
export async function advise(
  group: readonly BenchCase[],
  p99LimitMs: number,
  options: Pick<RunOptions, 'signal'>,
): Promise<Advice | null> {
  const [one] = group;
  const first = one!.devices[0]!;
  const workload = openWorkload(one!.workload);
  const asked = new Set<number>();
  for (const chunk of workload.arrivals()) for (let i = 0; i < chunk.count; i++) asked.add(chunk.model[i]!);
  const sizes = [...asked].map((model) => workload.models[model]!.memoryBytes);
  const largest = Math.max(...sizes);
  const total = sizes.reduce((sum, bytes) => sum + bytes, 0);

  const tryOut = async (devices: number, memoryBytes: number): Promise<Purchase> => {
    const bought = Array.from({ length: devices }, (_, index): SimulatedDevice => {
      return { id: `emulated:${index}`, memoryBytes, overlap: first.overlap };
    });
    const results = await runCases(
      group.map((member) => ({ ...member, devices: bought })),
      options,
    );
    if (results.size < group.length) throw new Stopped();
    const p99Ms = [...results.values()].reduce((sum, result) => sum + result.metrics.p99Ms, 0) / results.size;
    return { devices, memoryBytes, p99Ms };
  };
  try {
    const each = Math.max(first.memoryBytes, largest);
    const most = Math.min(MOST_DEVICES, workload.requests);
    const fewestDevices = await leastThat((count) => tryOut(count, each), 1, most, p99LimitMs);
    const step = Math.max(1_000_000, Math.ceil(total / MEMORY_STEPS / 1_000_000) * 1_000_000);
    const from = Math.ceil(largest / step);
    const leastMemory = await leastThat(
      (steps) => tryOut(one!.devices.length, steps * step),
      from,
      Math.max(from, Math.ceil(total / step)),
      p99LimitMs,
    );
    return { policy: one!.policy.name, workingSet: one!.workingSet, p99LimitMs, fewestDevices, leastMemory };
  } catch (error) {
    if (error instanceof Stopped) return null;
    throw error;
  }
}

class Stopped extends Error {}

/** The outcome at the least amount that keeps the limit: doubling from `from`, then bisection; null if not even `most` does. */
async function leastThat(
  tryOut: (amount: number) => Promise<Purchase>,
  from: number,
  most: number,
  p99LimitMs: number,
): Promise<Purchase | null> {
  let low = from - 1;
  let amount = from;
  let best = await tryOut(amount);
  while (best.p99Ms > p99LimitMs) {
    if (amount >= most) return null;
    low = amount;
    amount = Math.min(most, amount * 2);
    best = await tryOut(amount);
  }
  for (let high = amount; high - low > 1;) {
    const middle = (low + high) >> 1;
    const outcome = await tryOut(middle);
    if (outcome.p99Ms <= p99LimitMs) {
      best = outcome;
      high = middle;
    } else low = middle;
  }
  return best;
}
