// Tells when what was packed has changed. Editors save in several steps, so a change is told once all has been quiet.

import { watch } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readIgnoreRules, type Ignores } from './ignore-rules.ts';
import type { Package } from './pack.ts';

const QUIET_MS = 80;

/** Yields at once, then after every change of what would be packed; ends when the signal fires. */
export async function* watchPackage(packed: Package, signal: AbortSignal): AsyncGenerator<void> {
  const changes = new Changes();
  const watching = collect(packed, changes, signal);
  // Failures are thrown where they are waited for, below.
  watching.catch(() => changes.note());
  for (;;) {
    yield;
    await changes.next();
    while (changes.take() && !signal.aborted) await sleep(QUIET_MS);
    if (signal.aborted) return;
    if (changes.ended) return await watching;
  }
}

async function collect(packed: Package, changes: Changes, signal: AbortSignal): Promise<void> {
  // A bare model is itself and its weights; anything may lie beside it.
  const files = new Set(packed.files.map((file) => file.path));
  let ignores: Ignores = (path) => !files.has(path);
  if (packed.kind === 'folder') ignores = await readIgnoreRules(packed.folder);
  try {
    const events = watch(packed.folder, { recursive: true, persistent: true, signal });
    for await (const { filename } of events) {
      const path = filename?.replaceAll('\\', '/') ?? '';
      if (path === '' || !ignores(path) || basename(path) === '.gpufaasignore') changes.note();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    changes.end();
  }
}

/** Whether something changed since it was last asked, and a promise for when it does. */
class Changes {
  ended = false;
  #changed = false;
  #wake: () => void = () => {};

  note(): void {
    this.#changed = true;
    this.#wake();
  }

  end(): void {
    this.ended = true;
    this.note();
  }

  take(): boolean {
    const changed = this.#changed;
    this.#changed = false;
    return changed;
  }

  /** Resolves with the next change, or at once if there was one. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#changed) resolve();
    });
  }
}
