// The secrets of functions: names and values in one file of the home, readable by its owner alone. Values go to the
// handlers that name them and nowhere else: no message, list or log holds one.

import { randomUUID } from 'node:crypto';
import { chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { GpufaasError } from '../errors.ts';
import { SECRET_NAME } from './manifest.ts';

/** What is shown of a secret. */
export interface SecretSummary {
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly updatedAtMs: number;
}

const MAX_VALUE_BYTES = 64 * 1024;
const MAX_SECRETS = 1000;

const fileSchema = z.record(z.string(), z.object({ value: z.string(), updatedAtMs: z.number() }));
type Secrets = z.infer<typeof fileSchema>;

/** The secrets kept in a file; the file appears with the first one. */
export function createSecretStore(path: string): SecretStore {
  return new SecretStore(path);
}

/** See `createSecretStore`. Reads the file each time, so that a value set a moment ago is seen. */
export class SecretStore {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Names, in order; never values. */
  list(): SecretSummary[] {
    return Object.entries(this.#read())
      .map(([name, { updatedAtMs }]) => ({ name, updatedAtMs }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Sets or replaces one. Throws BAD_NAME, BAD_REQUEST (empty, too long). */
  set(name: string, value: string): void {
    if (!SECRET_NAME.test(name)) {
      throw new GpufaasError('BAD_NAME', `${JSON.stringify(name.slice(0, 80))} can not be the name of a secret.`, {
        suggestions: ['Use letters, digits, hyphens, dots and underscores, beginning with a letter, such as api-key.'],
      });
    }
    const bytes = Buffer.byteLength(value);
    if (bytes === 0 || bytes > MAX_VALUE_BYTES || value.includes('\0')) {
      throw new GpufaasError(
        'BAD_REQUEST',
        `The value of the secret ${name} is ${bytes === 0 ? 'empty' : 'too long or no text'}.`,
        {
          suggestions: [`A value is text of 1 to ${MAX_VALUE_BYTES} bytes.`],
        },
      );
    }
    const secrets = this.#read();
    if (!Object.hasOwn(secrets, name) && Object.keys(secrets).length >= MAX_SECRETS) {
      throw new GpufaasError('CONFLICT', `There are ${MAX_SECRETS} secrets already.`, {
        suggestions: ['Remove some: `gpufaas secret rm NAME`'],
      });
    }
    this.#write({ ...secrets, [name]: { value, updatedAtMs: Date.now() } });
  }

  /** Forgets one; false if there was none of that name. */
  remove(name: string): boolean {
    const secrets = this.#read();
    if (!Object.hasOwn(secrets, name)) return false;
    const { [name]: _gone, ...rest } = secrets;
    this.#write(rest);
    return true;
  }

  /** The values a handler is given. Throws DEPLOY_FAILED naming what is missing. */
  values(names: readonly string[]): Record<string, string> {
    if (names.length === 0) return {};
    const secrets = this.#read();
    const missing = names.filter((name) => !Object.hasOwn(secrets, name));
    if (missing.length > 0) {
      throw new GpufaasError(
        'DEPLOY_FAILED',
        `The function needs ${missing.length === 1 ? 'a secret that is' : 'secrets that are'} not set: ${missing.join(', ')}.`,
        {
          suggestions: missing.map((name) => `Set it with \`gpufaas secret set ${name}\`.`),
        },
      );
    }
    return Object.fromEntries(names.map((name) => [name, secrets[name]!.value]));
  }

  #read(): Secrets {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
      throw new GpufaasError('INTERNAL', 'The file of the secrets can not be read.', { cause: error });
    }
    try {
      return fileSchema.parse(JSON.parse(text));
    } catch {
      // No cause: a parser's message quotes what it read.
      throw new GpufaasError('INTERNAL', 'The file of the secrets is damaged.', {
        suggestions: ['Remove secrets.json in GPUFAAS_HOME and set the secrets again.'],
      });
    }
  }

  /** Whole or not at all, and never readable by others, not even for a moment. */
  #write(secrets: Secrets): void {
    const temporary = `${this.#path}.${process.pid}-${randomUUID()}`;
    try {
      writeFileSync(temporary, JSON.stringify(secrets), { mode: 0o600, flag: 'wx' });
      chmodSync(temporary, 0o600);
      renameSync(temporary, this.#path);
    } catch (error) {
      rmSync(temporary, { force: true });
      const full = (error as NodeJS.ErrnoException).code === 'ENOSPC';
      throw new GpufaasError(
        full ? 'DISK_FULL' : 'INTERNAL',
        'The secrets could not be written; the old ones still stand.',
        {
          cause: error,
          suggestions: ['Look at the free space and the permissions of GPUFAAS_HOME.'],
        },
      );
    }
  }
}
