import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { absolutePolicy, readConfig, resolveSettings, settingName, writeConfig } from '../../../src/cli/settings.ts';
import { resolveHome, type Home } from '../../../src/home.ts';

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
      ['devices', ' '],
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

  it('take a policy with a path as a file, wherever the daemon will run', () => {
    expect(absolutePolicy('lalbo3')).toBe('lalbo3');
    expect(absolutePolicy('./mine.ts')).toBe(resolve('mine.ts'));
    expect(absolutePolicy('mine.js')).toBe(resolve('mine.js'));
  });
});
