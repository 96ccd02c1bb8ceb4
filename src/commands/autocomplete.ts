import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as Args from '@oclif/core/args';
import { BaseCommand } from '../cli/base-command.ts';
import { GpufaasError } from '../errors.ts';

/** Where each shell reads what it is told at its start. */
const STARTUP_FILES: Readonly<Record<string, string>> = { bash: '~/.bashrc', zsh: '~/.zshrc', powershell: '$PROFILE' };

export default class Autocomplete extends BaseCommand {
  static override summary = 'Complete commands and flags with the tab key';
  static override description =
    'Writes the completion for your shell and says how to switch it on. Run it again after an update.';
  static override examples = [
    { description: 'For the shell you use', command: '<%= config.bin %> autocomplete' },
    { description: 'For zsh', command: '<%= config.bin %> autocomplete zsh' },
  ];
  static override args = {
    shell: Args.string({ description: 'your shell', options: Object.keys(STARTUP_FILES) }),
  };

  async run(): Promise<unknown> {
    const { args } = await this.parse(Autocomplete);
    const shell = args.shell ?? this.config.shell;
    const file = STARTUP_FILES[shell];
    if (file === undefined) {
      throw new GpufaasError('USAGE', `There is no completion for the shell ${JSON.stringify(shell)}.`, {
        suggestions: [`Say which you use: \`gpufaas autocomplete ${Object.keys(STARTUP_FILES).join(' | ')}\`.`],
      });
    }
    await this.config.runCommand('autocomplete:create');
    const folder = join(this.config.cacheDir, 'autocomplete');
    const functions = join(folder, 'functions', 'bash', 'gpufaas.bash');
    // As the plugin writes it, bash would complete no file names: neither the folder to deploy nor the file to send.
    writeFileSync(
      functions,
      readFileSync(functions, 'utf8').replace(/^complete -F/m, 'complete -o bashdefault -o default -F'),
    );
    const script =
      shell === 'powershell' ? join(folder, 'functions', 'powershell', 'gpufaas.ps1') : join(folder, `${shell}_setup`);
    const line = `. "${script}"`;
    const append = shell === 'powershell' ? `Add-Content ${file} '${line}'` : `echo '${line}' >> ${file}`;
    this.print(`The completion for ${shell} is written. Switch it on with\n\n  ${append}\n\nand open a new terminal.`);
    return { shell, script, line };
  }
}
