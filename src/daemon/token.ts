// The token of a home: made once, readable by its owner alone. Whoever can read it may change what the daemon holds.

import { randomBytes } from 'node:crypto';
import { chmodSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Home } from '../home.ts';

/** Reads the token, or makes it if there is none. */
export function obtainToken(home: Home): string {
  const existing = readToken(home);
  if (existing !== null) return existing;
  // Written aside and linked into place, so that nobody ever reads half a token and two starters agree on one.
  const draft = `${home.token}.${process.pid}`;
  writeFileSync(draft, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  try {
    linkSync(draft, home.token);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  return readToken(home)!;
}

function readToken(home: Home): string | null {
  try {
    const token = readFileSync(home.token, 'utf8').trim();
    if (token.length < 32) {
      rmSync(home.token, { force: true });
      return null;
    }
    chmodSync(home.token, 0o600);
    return token;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
