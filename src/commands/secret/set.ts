import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../../cli/base-command.ts';
import { readSecret } from '../../cli/secret-input.ts';
import { localSecrets } from '../../cli/secrets.ts';

export default class SecretSet extends BaseCommand {
  static override summary = 'Set a secret that functions can name in their manifest';
  static override description =
    'The value is read from the standard input (or asked for on a terminal), so that it does not end up in the history of ' +
    'the shell. It is kept in GPUFAAS_HOME, readable by its owner alone, and never printed.';
  static override examples = [
    { description: 'Asked for', command: '<%= config.bin %> secret set api-key' },
    { description: 'From a file', command: '<%= config.bin %> secret set api-key --file key.txt' },
    { description: 'From a pipe', command: 'pass show api-key | <%= config.bin %> secret set api-key' },
  ];
  static override args = { name: Args.string({ description: 'name of the secret', required: true }) };
  static override flags = {
    file: Flags.string({ char: 'f', description: 'read the value from this file', helpValue: 'FILE' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(SecretSet);
    const secrets = await localSecrets(this.home);
    const value = await readSecret(args.name, flags.file);
    secrets.set(args.name, value);
    this.print(`Set ${args.name}.`);
    this.note('Functions that name it in `secrets:` get it with their next deployment.');
    return { name: args.name, set: true };
  }
}
