// Questions to the user. Only ever asked on a terminal, on stderr, so that stdout stays clean.

import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { GpufaasError } from '../errors.ts';

/** True if somebody is there to be asked. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** Asks for a line; an empty one means `fallback`. Throws CANCELLED on Ctrl-C or Ctrl-D. */
export async function ask(question: string, fallback: string): Promise<string> {
  const hint = fallback === '' ? '' : ` (${fallback})`;
  return (await answerTo(`${question}${hint} `, process.stderr)).trim() || fallback;
}

/** Asks for a line that is not shown while it is typed. Throws CANCELLED on Ctrl-C or Ctrl-D. */
export async function askHidden(question: string): Promise<string> {
  process.stderr.write(`${question} `);
  // Without an output, readline echoes nothing; the terminal itself is in raw mode and does not either.
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() });
  try {
    return await answerTo('', unseen);
  } finally {
    process.stderr.write('\n');
  }
}

async function answerTo(question: string, output: NodeJS.WritableStream): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output, terminal: true });
  const closed = new Promise<never>((_, reject) => {
    terminal.once('close', () => reject(new GpufaasError('CANCELLED', 'Interrupted.')));
  });
  // It also fires when we close the terminal ourselves, after the answer.
  closed.catch(() => {});
  try {
    terminal.on('SIGINT', () => terminal.close());
    return await Promise.race([terminal.question(question), closed]);
  } finally {
    terminal.close();
  }
}

/** Asks for a yes; anything else is a no. */
export async function confirm(question: string): Promise<boolean> {
  return /^y(es)?$/i.test(await ask(`${question} [y/N]`, ''));
}
