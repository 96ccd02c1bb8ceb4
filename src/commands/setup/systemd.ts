import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../../cli/base-command.ts';
import { renderUnit } from '../../cli/systemd-unit.ts';
import { GpufaasError } from '../../errors.ts';

export default class SetupSystemd extends BaseCommand {
  static override summary = 'Let systemd run the daemon for this user';
  static override description =
    'Writes a user unit that runs `gpufaas serve` with this Node and this GPUFAAS_HOME, and says how to switch it on. ' +
    'Changes nothing else.';
  static override examples = [
    { description: 'Write the unit', command: '<%= config.bin %> setup systemd' },
    { description: 'Only look at it', command: '<%= config.bin %> setup systemd --print' },
  ];
  static override flags = {
    print: Flags.boolean({ description: 'print the unit and write nothing' }),
    force: Flags.boolean({ description: 'replace a unit that is there already' }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(SetupSystemd);
    const unit = renderUnit({
      node: process.execPath,
      program: fileURLToPath(new URL('../../../bin/run.js', import.meta.url)),
      home: this.home.root,
    });
    const folder = process.env['XDG_CONFIG_HOME'] || join(homedir(), '.config');
    const path = join(folder, 'systemd', 'user', 'gpufaas.service');
    if (flags.print) {
      this.print(unit.trimEnd());
      return { path, unit, written: false };
    }
    if (process.platform !== 'linux') {
      throw new GpufaasError('USAGE', 'There is no systemd on this platform.', {
        suggestions: ['Let the service manager of your system run `gpufaas serve`.'],
      });
    }
    if (existsSync(path) && !flags.force) {
      throw new GpufaasError('CONFLICT', `${path} is there already.`, {
        suggestions: ['Look at what it says; --force replaces it, --print shows the new one.'],
      });
    }
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, unit);
    this.print(`Wrote ${path}`);
    this.note(
      [
        'Next:',
        '  gpufaas down                                  # if a daemon runs already',
        '  systemctl --user daemon-reload',
        '  systemctl --user enable --now gpufaas',
        '  journalctl --user -u gpufaas -f               # its log',
        `  loginctl enable-linger ${userInfo().username}    # to keep it running when you are logged out`,
      ].join('\n'),
    );
    return { path, unit, written: true };
  }
}
