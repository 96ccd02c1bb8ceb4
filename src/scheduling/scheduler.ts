// The scheduling core: events in, actions out. It knows no clock, no device and no randomness; the daemon and the
// simulator drive the same code. The policy only chooses; bounds, failures and bookkeeping are here and in the pool.

import { GpufaasError } from '../errors.ts';
import { Intake } from './intake.ts';
import { Pool } from './pool.ts';
import { lalb } from './policies/lalb.ts';
import { lalbo3 } from './policies/lalbo3.ts';
import { lb } from './policies/lb.ts';
import { locality } from './policies/locality/locality.ts';
import type { Policy, PolicyInstance } from './policy.ts';
import {
  copyWidened,
  deviceAdded,
  deviceLost,
  loadFailed,
  loadFinished,
  runEnding,
  runFailed,
  runFinished,
} from './progress.ts';
import { ModelState } from './state.ts';
import { Reservations } from './reservations.ts';
import type { SchedulerAction, SchedulerEvent, SchedulerOptions, SchedulerView, SchedulingCore } from './types.ts';
import { viewOf } from './view.ts';
import { Wishes } from './wishes.ts';

/** The policies that come with the product. */
export const POLICIES: readonly Policy[] = [lb, lalb, lalbo3, locality];

/** The policy of that name; throws USAGE with the known names for any other. */
export function policyNamed(name: string): Policy {
  const policy = POLICIES.find((each) => each.name === name);
  if (policy !== undefined) return policy;
  const known = POLICIES.map((each) => each.name).join(', ');
  throw new GpufaasError('USAGE', `There is no policy named ${JSON.stringify(name)}.`, {
    suggestions: [`Choose one of: ${known}.`, 'Or give the path of a module that exports a policy (docs/policies.md).'],
  });
}

/** A scheduler with no devices and no models; `policy` overrides `options.policy`, which is else looked up by name. */
export function createScheduler(
  options: SchedulerOptions,
  policy: Policy = policyNamed(options.policy),
): SchedulingCore {
  return new Scheduler(options, policy);
}

class Scheduler implements SchedulingCore {
  readonly #pool: Pool;
  readonly #policy: Policy;
  readonly #instance: PolicyInstance;
  readonly #intake: Intake;
  readonly #wishes: Wishes;
  readonly #reservations: Reservations;
  readonly #removed = new Set<ModelState>();

  constructor(options: SchedulerOptions, policy: Policy) {
    this.#policy = policy;
    this.#pool = new Pool(options);
    this.#pool.overlaps = policy.overlaps?.(options) ?? false;
    this.#instance = policy.create(this.#pool, options);
    this.#pool.watcher = this.#instance;
    this.#intake = new Intake(this.#pool, options);
    this.#wishes = new Wishes(this.#pool, this.#intake);
    this.#reservations = new Reservations(this.#pool);
  }

  apply(nowMs: number, event: SchedulerEvent): void {
    const pool = this.#pool;
    pool.nowMs = nowMs;
    switch (event.type) {
      case 'submitted':
        return this.#intake.submit(event.request);
      case 'run-ending':
        return runEnding(pool, event.device, event.run);
      case 'run-finished':
        return runFinished(pool, event.device, event.run, event.deviceIndex);
      case 'run-failed':
        return runFailed(pool, event.device, event.run, event.retry);
      case 'load-finished':
        return loadFinished(pool, event.device, event.model, event.memoryBytes, event.deviceIndex);
      case 'widened':
        return copyWidened(pool, event.device, event.model, event.ready);
      case 'load-failed':
        return loadFailed(pool, event.device, event.model, event.retry);
      case 'cancelled': {
        const request = pool.requests.get(event.request);
        if (request !== undefined) pool.withdraw(request);
        return;
      }
      case 'reserve':
        return this.#reservations.ask(event.reservation, event.device, event.bytes);
      case 'unreserve':
        return this.#reservations.release(event.reservation);
      case 'device-added':
        if (!deviceAdded(pool, event.device)) return;
        this.#intake.deviceCame(pool.devicesById.get(event.device.id)!);
        this.#instance.devicesChanged?.(this.#intake.present);
        return;
      case 'device-lost': {
        const device = deviceLost(pool, event.device);
        if (device === undefined) return;
        this.#intake.deviceWent(device);
        this.#instance.devicesChanged?.(this.#intake.present);
        return;
      }
      default:
        this.#applyToModel(event);
    }
  }

  decide(nowMs: number): SchedulerAction[] {
    const pool = this.#pool;
    pool.nowMs = nowMs;
    this.#intake.expire();
    pool.residency.evictUnwanted();
    if (pool.overfull.length > 0) for (const device of pool.overfull.splice(0)) pool.residency.makeRoom(device, 0);
    const reservations = this.#reservations.grant();
    pool.serveBound();
    const refusals = this.#wishes.fulfil();
    // A rejection may be what others waited for.
    do this.#instance.place(nowMs);
    while (this.#intake.rejectMisfits(pool.restoreAside()));
    pool.residency.evictExpired(nowMs);
    for (const model of this.#removed) {
      if (model.copies.size > 0 || model.waiting.size > 0) continue;
      this.#removed.delete(model);
      pool.models.delete(model.id);
      pool.modelsByIndex[model.index] = undefined;
    }
    const actions = pool.takeActions();
    actions.push(...reservations, ...refusals);
    return actions;
  }

  nextWakeMs(): number | null {
    const wakeMs = Math.min(
      this.#intake.nextWakeMs(),
      this.#pool.residency.nextExpiryMs(),
      this.#instance.nextWakeMs?.() ?? Infinity,
    );
    return wakeMs === Infinity ? null : wakeMs;
  }

  view(): SchedulerView {
    return viewOf(this.#pool, this.#policy.name);
  }

  #applyToModel(event: Extract<SchedulerEvent, { readonly model: unknown }>): void {
    const pool = this.#pool;
    if (event.type === 'model-added') return this.#addModel(event.model);
    if (event.type === 'load-finished' || event.type === 'load-failed' || event.type === 'widened') return;
    const model = pool.models.get(event.model);
    if (model === undefined) return;
    const named = 'device' in event && event.device !== undefined ? pool.devicesById.get(event.device) : null;
    switch (event.type) {
      case 'model-removed':
        model.removed = true;
        this.#removed.add(model);
        pool.residency.setPinned(model, false, pool.nowMs);
        for (const copy of model.copies.values()) pool.residency.unwant(copy);
        return;
      case 'model-observed':
        return observe(model, event);
      case 'host-cached':
        return model.observeLoad(event);
      case 'load-requested':
        if (named !== undefined) this.#wishes.add(model, named);
        return;
      case 'unload-requested':
        if (named === undefined || model.pinned) return;
        this.#wishes.drop(model, named);
        for (const copy of model.copies.values()) {
          if (named === null || copy.device === named) pool.residency.unwant(copy);
        }
        return;
      case 'pinned':
        pool.residency.setPinned(model, event.pinned, pool.nowMs);
        pool.capacityVersion++;
        return;
      case 'barred':
        model.barred = event.barred;
        if (event.barred) this.#intake.bar(model);
        return;
      case 'hinted':
        return this.#instance.hinted?.(model);
    }
  }

  #addModel(spec: Extract<SchedulerEvent, { readonly type: 'model-added' }>['model']): void {
    const known = this.#pool.models.get(spec.id);
    if (known === undefined) {
      const model = new ModelState(this.#pool.modelsByIndex.length, spec);
      this.#pool.modelsByIndex.push(model);
      this.#pool.models.set(spec.id, model);
      this.#instance.modelAdded?.(model);
      return;
    }
    // Of a model that stayed, runs have shown more than its deployment did, and nobody will tell that again.
    const learnt = known.removed ? undefined : known.batching?.runMsByRows;
    const news = known.removed ? spec : { memoryBytes: spec.memoryBytes };
    known.removed = false;
    this.#removed.delete(known);
    known.keepAliveMs = spec.keepAliveMs;
    known.batching = spec.batching && { ...spec.batching, ...(learnt && { runMsByRows: learnt }) };
    for (const copy of known.copies.values()) {
      this.#pool.residency.want(copy);
      // Requests that are joined need no instances.
      if (known.batching !== undefined) this.#pool.residency.instances.narrow(copy);
    }
    observe(known, news);
  }
}

function observe(
  model: ModelState,
  seen: {
    readonly memoryBytes?: number;
    readonly loadMs?: number;
    readonly hostLoadMs?: number;
    readonly runMs?: number;
    readonly runMsByRows?: readonly number[];
    readonly sideBySideMs?: number;
    readonly batchesDiffer?: true;
  },
): void {
  if (seen.memoryBytes !== undefined) model.memoryBytes = seen.memoryBytes;
  model.observeLoad(seen);
  if (seen.runMs !== undefined) model.runMs = seen.runMs;
  if (seen.sideBySideMs !== undefined) model.sideBySideMs = seen.sideBySideMs;
  if (seen.batchesDiffer === true && model.batching?.unasked === true) model.batching = undefined;
  if (seen.runMsByRows !== undefined && model.batching !== undefined) {
    model.batching = { ...model.batching, runMsByRows: seen.runMsByRows };
  }
  model.fitsVersion = -1;
}
