// What a check of a GPU is: a name, whether it passed, what was seen. And how checks are shown.

import { toGpufaasError } from '../../src/errors.ts';

/** The outcome of one check. */
export interface Check {
  readonly name: string;
  readonly passed: boolean;
  readonly saw: string;
}

/** What a task of a check found. */
export type Seen = Pick<Check, 'passed' | 'saw'>;

/** Checks one after the other; none that fails keeps the others from being made. */
export class Checks {
  readonly done: Check[] = [];
  readonly #say: (text: string) => void;

  constructor(say: (text: string) => void) {
    this.#say = say;
  }

  async check(name: string, task: () => Promise<Seen>): Promise<boolean> {
    const seen = await task().catch((error: unknown) => ({ passed: false, saw: toGpufaasError(error).message }));
    this.done.push({ name, ...seen });
    this.#say(`  ${seen.passed ? 'ok  ' : 'FAIL'} ${name}: ${seen.saw}`);
    return seen.passed;
  }
}

/** One line a check, aligned. */
export function tableOf(results: readonly { readonly device: string; readonly checks: readonly Check[] }[]): string {
  const rows = results.flatMap(({ device, checks }) =>
    checks.map(({ name, passed, saw }) => [device, passed ? 'ok' : 'FAIL', name, saw]),
  );
  const lines = [['DEVICE', 'RESULT', 'CHECK', 'SAW'], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
