// From a name or a path after `--policy` to a policy: the product's own, or a module that exports one.

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { GpufaasError } from '../errors.ts';
import type { Policy } from '../scheduling/policy.ts';
import { createScheduler, POLICIES, policyNamed } from '../scheduling/scheduler.ts';
import type { SchedulingCore } from '../scheduling/types.ts';

/** A policy to be compared: its name, and where its module lies if it is not the product's own. */
export interface PolicyChoice {
  readonly name: string;
  /** Absolute path, or null for a policy that comes with the product. */
  readonly module: string | null;
}

/** A policy and how it is set. */
export interface PolicySetting {
  readonly policy: PolicyChoice;
  readonly preload: boolean;
  readonly loadLanes: number | null;
  readonly skipLimit: number;
  readonly disable: readonly string[];
}

/** The policies that come with the product, by name. */
export function knownPolicies(): string[] {
  return POLICIES.map((policy) => policy.name);
}

/** Looks up a name, or loads the module at a path (one with a slash or an ending). Throws USAGE or FILE_NOT_FOUND. */
export async function choosePolicy(text: string): Promise<PolicyChoice> {
  if (!/[/\\]|\.[mc]?[jt]s$/.test(text)) return { name: policyNamed(text).name, module: null };
  const module = resolve(text);
  return { name: (await loadPolicy(module)).name, module };
}

/** A scheduler for one simulation: nothing is ever refused for a full queue, as a simulation wants every latency. */
export async function schedulerFor(one: PolicySetting): Promise<SchedulingCore> {
  const options = {
    policy: one.policy.name,
    maxQueuedRequests: Infinity,
    maxQueuedBytes: Infinity,
    skipLimit: one.skipLimit,
    disable: one.disable,
    preload: one.preload,
    ...(one.loadLanes === null ? {} : { loadLanes: one.loadLanes }),
  };
  return one.policy.module === null
    ? createScheduler(options)
    : createScheduler(options, await loadPolicy(one.policy.module));
}

async function loadPolicy(path: string): Promise<Policy> {
  if (!existsSync(path))
    throw new GpufaasError('FILE_NOT_FOUND', `There is no policy module ${path}.`, {
      suggestions: [`Check the path, or choose one of: ${knownPolicies().join(', ')}.`],
    });
  let exported: unknown;
  try {
    exported = ((await import(pathToFileURL(path).href)) as { default?: unknown }).default;
  } catch (error) {
    throw new GpufaasError('USAGE', `The policy module ${path} can't be loaded: ${(error as Error).message}`, {
      cause: error,
      suggestions: ['docs/policies.md shows what such a module looks like.'],
    });
  }
  if (isPolicy(exported)) return exported;
  throw new GpufaasError('USAGE', `${path} has no policy as its default export.`, {
    suggestions: ['Export an object with `name` and `create(pool, options)`; docs/policies.md has an example.'],
  });
}

function isPolicy(value: unknown): value is Policy {
  if (typeof value !== 'object' || value === null) return false;
  const { name, create } = value as Partial<Record<keyof Policy, unknown>>;
  return typeof name === 'string' && name !== '' && typeof create === 'function';
}
