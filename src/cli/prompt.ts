// Questions to the user. Only ever asked on a terminal, on stderr, so that stdout stays clean.

import { createInterface } from 'node:readline/promises';
import { GpufaasError } from '../errors.ts';

/** True if somebody is there to be asked. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** Asks for a line; an empty one means `fallback`. Throws CANCELLED on Ctrl-C or Ctrl-D. */
export async function ask(question: string, fallback: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const closed = new Promise<never>((_, reject) => {
    terminal.once('close', () => reject(new GpufaasError('CANCELLED', 'Interrupted.')));
  });
  // It also fires when we close the terminal ourselves, after the answer.
  closed.catch(() => {});
  try {
    terminal.on('SIGINT', () => terminal.close());
    const hint = fallback === '' ? '' : ` (${fallback})`;
    const answer = await Promise.race([terminal.question(`${question}${hint} `), closed]);
    return answer.trim() || fallback;
  } finally {
    terminal.close();
  }
}

/** Asks for a yes; anything else is a no. */
export async function confirm(question: string): Promise<boolean> {
  return /^y(es)?$/i.test(await ask(`${question} [y/N]`, ''));
}
