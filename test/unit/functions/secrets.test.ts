import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import { createSecretStore } from '../../../src/functions/secrets.ts';

function place(): string {
  const folder = mkdtempSync(join(tmpdir(), 'gpufaas-secrets-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, 'secrets.json');
}

function failure(act: () => unknown): GpufaasError {
  try {
    act();
  } catch (error) {
    if (error instanceof GpufaasError) return error;
  }
  throw new Error('it did not fail as it should');
}

describe('the secrets', () => {
  it('are kept in a file that only its owner can read, and listed without values', () => {
    const path = place();
    const secrets = createSecretStore(path);
    expect(secrets.list()).toEqual([]);
    expect(existsSync(path)).toBe(false);
    secrets.set('zeta', 'value of zeta');
    secrets.set('api-key', 'first');
    secrets.set('api-key', 'second');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(path, '..'))).toEqual(['secrets.json']);
    expect(secrets.list().map((secret) => Object.keys(secret))).toEqual([
      ['name', 'updatedAtMs'],
      ['name', 'updatedAtMs'],
    ]);
    expect(secrets.list().map((secret) => secret.name)).toEqual(['api-key', 'zeta']);
    expect(createSecretStore(path).values(['api-key'])).toEqual({ 'api-key': 'second' });
    expect(secrets.remove('api-key')).toBe(true);
    expect(secrets.remove('api-key')).toBe(false);
  });

  it('that are missing are named, with what to do', () => {
    const secrets = createSecretStore(place());
    secrets.set('there', 'x');
    const error = failure(() => secrets.values(['there', 'api-key', 'other']));
    expect(error.code).toBe('DEPLOY_FAILED');
    expect(error.message).toMatch(/not set: api-key, other/);
    expect(error.suggestions).toEqual([
      'Set it with `gpufaas secret set api-key`.',
      'Set it with `gpufaas secret set other`.',
    ]);
  });

  it.each(['', '../x', 'a b', 'a\0', '__proto__', '1a', 'x'.repeat(64)])('can not be called %j', (name) => {
    expect(failure(() => createSecretStore(place()).set(name, 'v')).code).toBe('BAD_NAME');
  });

  it('are refused empty, too long, or with NUL, and the value is never told', () => {
    const secrets = createSecretStore(place());
    for (const value of ['', 's3cret'.repeat(20_000), 's3cret\0']) {
      const error = failure(() => secrets.set('key', value));
      expect(error.code).toBe('BAD_REQUEST');
      expect(error.message).not.toContain('s3cret');
    }
  });

  it('in a damaged file are not guessed at and not shown', () => {
    const path = place();
    writeFileSync(path, '{"key": {"value": "s3cret", ');
    const error = failure(() => createSecretStore(path).list());
    expect(`${error.message} ${String(error.cause)}`).not.toContain('s3cret');
    expect(readFileSync(path, 'utf8')).toContain('s3cret');
  });

  it('of the names that objects have by themselves are not there', () => {
    expect(failure(() => createSecretStore(place()).values(['constructor'])).message).toMatch(/not set: constructor/);
  });
});
