import * as Args from '@oclif/core/args';
import { BaseCommand } from '../../cli/base-command.ts';
import { localSecrets } from '../../cli/secrets.ts';
import { GpufaasError } from '../../errors.ts';

export default class SecretRm extends BaseCommand {
  static override summary = 'Remove a secret';
  static override examples = [{ description: 'One secret', command: '<%= config.bin %> secret rm api-key' }];
  static override args = { name: Args.string({ description: 'name of the secret', required: true }) };

  async run(): Promise<unknown> {
    const { args } = await this.parse(SecretRm);
    if (!(await localSecrets(this.home)).remove(args.name)) {
      throw new GpufaasError('SECRET_NOT_FOUND', `There is no secret ${JSON.stringify(args.name.slice(0, 80))}.`, {
        suggestions: ['`gpufaas secret ls` lists them.'],
      });
    }
    this.print(`Removed ${args.name}.`);
    return { name: args.name, removed: true };
  }
}
