import { styleText } from 'node:util';
import { BaseCommand } from '../cli/base-command.ts';
import type { Check, CheckStatus } from '../cli/doctor/check.ts';
import { settingFlags } from '../cli/settings.ts';

const MARKS: Readonly<Record<CheckStatus, readonly [mark: string, color: 'green' | 'yellow' | 'red']>> = {
  ok: ['✓', 'green'],
  warning: ['!', 'yellow'],
  problem: ['✗', 'red'],
};

export default class Doctor extends BaseCommand {
  static override summary = 'Check this machine and say what to do about what is wrong';
  static override description =
    'Driver, cards, providers, memory, disk, permissions, port, telemetry. Every kind of device that `up` would use is ' +
    'tried with a small session in a throwaway process. Exits 1 if something will not work.';
  static override examples = [
    { description: 'Everything', command: '<%= config.bin %> doctor' },
    { description: 'Would a WebGPU device work?', command: '<%= config.bin %> doctor --devices webgpu' },
    { description: 'For a bug report', command: '<%= config.bin %> doctor --json' },
  ];
  static override flags = { devices: settingFlags.devices };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(Doctor);
    process.env['ORT_DISABLE_TELEMETRY'] = '1';
    const machine = await import('../cli/doctor/machine.ts');
    const home = await import('../cli/doctor/home.ts');
    const { settings, checks: ofSettings } = home.readSettings(flags, this.home);
    const spec = settings === null ? flags.devices : settings.devices.value;
    const checks: Check[] = [];
    const steps: readonly (readonly [string, () => Check | Check[] | Promise<Check | Check[]>])[] = [
      ['Node', () => machine.checkNode()],
      ['memory', () => machine.checkMemory()],
      ['the home', () => home.checkHome(this.home)],
      ['the settings', () => ofSettings],
      ['the daemon', () => home.checkDaemon(this.home, this.config.version, settings)],
      ['the runtime', () => machine.checkRuntime()],
      ['cards', () => machine.checkCards()],
      ['devices', () => machine.checkDevices(spec ?? null)],
    ];
    for (const [what, look] of steps) {
      this.progress.show(`Looking at ${what}`);
      const found = [await look()].flat();
      this.signal.throwIfAborted();
      this.progress.clear();
      for (const check of found) this.print(renderCheck(check));
      checks.push(...found);
    }
    const healthy = checks.every((check) => check.status !== 'problem');
    const perfect = checks.every((check) => check.status === 'ok');
    this.note(
      perfect
        ? 'All of it works.'
        : healthy
          ? 'It works; see above what could be better.'
          : 'Some of it does not work: see above what to do.',
    );
    if (!healthy) process.exitCode = 1;
    return { healthy, version: this.config.version, platform: `${process.platform}-${process.arch}`, checks };
  }
}

function renderCheck({ name, status, message, advice }: Check): string {
  const [mark, color] = MARKS[status];
  const line = `${styleText(color, mark, { stream: process.stdout })} ${name.padEnd(12)} ${message}`;
  return advice === null ? line : `${line}\n  ${' '.repeat(12)} → ${advice}`;
}
