import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { POLICY_NAMES } from '../../../src/cli/setting-checks.ts';
import {
  blameSetting,
  effectiveValue,
  otherPortNotice,
  readConfig,
  resolveSettings,
  settingName,
  writeConfig,
} from '../../../src/cli/settings.ts';
import { DEFAULT_POLICY } from '../../../src/daemon/daemon.ts';
import { DEFAULT_HOST, DEFAULT_PORT } from '../../../src/daemon/listen.ts';
import { GpufaasError } from '../../../src/errors.ts';
import { resolveHome, type Home } from '../../../src/home.ts';
import { POLICIES } from '../../../src/scheduling/scheduler.ts';

let home: Home;

beforeEach(() => {
  home = resolveHome({ GPUFAAS_HOME: mkdtempSync(join(tmpdir(), 'gpufaas-settings-')) });
});
afterEach(() => rmSync(home.root, { recursive: true }));

describe('settings', () => {
  it('come from the flag, else the environment, else the config, else the default', () => {
    const environment = { GPUFAAS_DEVICES: 'cpu:2' };
    expect(resolveSettings({}, home, {}).devices).toEqual({ value: null, source: 'default' });
    writeConfig(home, 'devices', 'cpu:3');
    expect(resolveSettings({}, home, {}).devices).toEqual({ value: 'cpu:3', source: 'config' });
    expect(resolveSettings({}, home, environment).devices).toEqual({ value: 'cpu:2', source: 'environment' });
    expect(resolveSettings({ devices: 'cpu' }, home, environment).devices).toEqual({ value: 'cpu', source: 'flag' });
  });

  it('are kept one by one, in a file of the owner alone', () => {
    writeConfig(home, 'port', '9000');
    writeConfig(home, 'policy', 'lb');
    writeConfig(home, 'port', null);
    expect(readConfig(home)).toEqual({ policy: 'lb' });
    expect(statSync(home.config).mode & 0o777).toBe(0o600);
  });

  it('are refused before they are kept if they make no sense', () => {
    for (const [name, value] of [
      ['port', '70000'],
      ['port', '-1'],
      ['reserve', 'much'],
      ['reserve', '500'],
      ['model-quota', '50'],
      ['host-cache', '4'],
      ['devices', ' '],
      ['devices', 'foo'],
      ['policy', 'lbx'],
      ['policy', './mine.ts'],
      ['host', 'a b'],
      ['host', 'localhost:80'],
    ] as const) {
      expect(() => writeConfig(home, name, value)).toThrow(expect.objectContaining({ code: 'USAGE' }));
    }
    expect(readConfig(home)).toEqual({});
  });

  it.each(['{"port": "x"}', '{"prot": "1"}', '[1', '{"host": {}}'])(
    'name the file that can not be read: %s',
    (text) => {
      writeFileSync(home.config, text);
      expect(() => readConfig(home)).toThrow(expect.objectContaining({ code: 'CONFLICT' }));
      expect(readFileSync(home.config, 'utf8')).toBe(text);
    },
  );

  it('suggest the name that was meant', () => {
    expect(() => settingName('device')).toThrow(
      expect.objectContaining({ suggestions: expect.arrayContaining(['Did you mean devices?']) }),
    );
    expect(() => settingName('__proto__')).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  it('say what is wrong with a value and where it came from', () => {
    const environment = { GPUFAAS_POLICY: 'lbx' };
    expect(() => resolveSettings({}, home, environment)).toThrow(/"lbx" \(from GPUFAAS_POLICY\)\.$/);
    writeFileSync(home.config, '{"host": "a b"}');
    expect(() => resolveSettings({}, home, {})).toThrow(
      /"a b" .*\(from `gpufaas config`; `gpufaas config unset host`\)\.$/,
    );
    writeConfig(home, 'host', null);
    expect(readConfig(home)).toEqual({});
  });

  it('are blamed for a start that fails, if they were kept', () => {
    writeConfig(home, 'host', '10.254.254.254');
    writeConfig(home, 'devices', 'cuda:7');
    const settings = resolveSettings({}, home, {});
    const unbound = new GpufaasError('USAGE', 'Can not listen on 10.254.254.254:9420 (EADDRNOTAVAIL).');
    expect(blameSetting(unbound, settings)).toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('(from `gpufaas config`; `gpufaas config unset host`).'),
    });
    const absent = new GpufaasError('USAGE', '--devices cuda:7: there is no CUDA card 7.');
    expect(blameSetting(absent, settings)).toMatchObject({ message: expect.stringContaining('config unset devices') });
    const byFlags = resolveSettings({ host: '10.254.254.254', devices: 'cuda:7' }, home, {});
    expect(blameSetting(unbound, byFlags)).toBe(unbound);
    expect(blameSetting(absent, byFlags)).toBe(absent);
  });

  it('tell of another port where nobody chose one', () => {
    const { port } = resolveSettings({}, home, {});
    expect(otherPortNotice('http://127.0.0.1:9420', port)).toBeNull();
    expect(otherPortNotice('http://127.0.0.1:40123', port)).toMatch(/^Port 9420 was taken .* 40123 /);
    const chosen = resolveSettings({ port: '0' }, home, {}).port;
    expect(otherPortNotice('http://127.0.0.1:40123', chosen)).toBeNull();
  });

  it('have the defaults of the daemon', () => {
    const settings = resolveSettings({}, home, {});
    expect(effectiveValue('policy', settings.policy)).toBe(DEFAULT_POLICY);
    expect(effectiveValue('host', settings.host)).toBe(DEFAULT_HOST);
    expect(effectiveValue('port', settings.port)).toBe(String(DEFAULT_PORT));
    expect(effectiveValue('model-quota', settings['model-quota'])).toBeNull();
    expect(effectiveValue('host-cache', settings['host-cache'])).toBe('auto');
    expect(POLICY_NAMES).toEqual(POLICIES.map((policy) => policy.name));
  });
});
