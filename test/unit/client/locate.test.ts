import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { locateDaemon } from '../../../src/client/locate.ts';
import { resolveHome, type Home } from '../../../src/home.ts';

let home: Home;

beforeEach(() => {
  home = resolveHome({ GPUFAAS_HOME: mkdtempSync(join(tmpdir(), 'gpufaas-locate-')) });
});
afterEach(() => rmSync(home.root, { recursive: true }));

const writeHome = () => {
  writeFileSync(home.token, 'secret\n');
  writeFileSync(home.daemonFile, JSON.stringify({ pid: 7, url: 'http://127.0.0.1:9420', version: '1.2.3' }));
};

describe('locating the daemon', () => {
  it('finds nothing in an empty home', () => {
    expect(locateDaemon(home, {})).toBeNull();
  });

  it('finds what the daemon left in the home', () => {
    writeHome();
    expect(locateDaemon(home, {})).toEqual({
      url: 'http://127.0.0.1:9420',
      token: 'secret',
      pid: 7,
      version: '1.2.3',
      source: 'home',
    });
  });

  it('takes a file cut off in the middle for none', () => {
    writeFileSync(home.daemonFile, '{"pid": 7, "url": "http://12');
    expect(locateDaemon(home, {})).toBeNull();
  });

  it('lets GPUFAAS_URL beat the home, and completes the scheme', () => {
    writeHome();
    expect(locateDaemon(home, { GPUFAAS_URL: 'gpu-box:9000' })).toMatchObject({
      url: 'http://gpu-box:9000',
      source: 'environment',
    });
  });

  it("never sends the home's token to another machine", () => {
    writeHome();
    expect(locateDaemon(home, { GPUFAAS_URL: 'https://example.com' })?.token).toBeNull();
    expect(locateDaemon(home, { GPUFAAS_URL: 'http://localhost:9000' })?.token).toBe('secret');
    expect(locateDaemon(home, { GPUFAAS_URL: 'https://example.com', GPUFAAS_TOKEN: 'other' })?.token).toBe('other');
  });

  it('refuses a GPUFAAS_URL that is no address', () => {
    for (const url of ['ftp://x', 'http://', '::::']) {
      expect(() => locateDaemon(home, { GPUFAAS_URL: url })).toThrow(expect.objectContaining({ code: 'USAGE' }));
    }
  });
});
