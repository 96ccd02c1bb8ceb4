import * as Args from '@oclif/core/args';
import { BaseCommand } from '../../cli/base-command.ts';
import { GpufaasError } from '../../errors.ts';

/** Shorter beginnings would too often be somebody else's. */
const LEAST_DIGITS = 8;

export default class ModelsRm extends BaseCommand {
  static override summary = 'Remove a model that no function uses from the store';
  static override examples = [
    { description: 'By the beginning of its sha256', command: '<%= config.bin %> models rm 3f9a0c1d' },
  ];
  static override args = {
    sha256: Args.string({ description: 'sha256 of the model, or the first 8 digits or more', required: true }),
  };

  async run(): Promise<unknown> {
    const { args } = await this.parse(ModelsRm);
    const wanted = args.sha256.toLowerCase();
    if (!/^[0-9a-f]{1,64}$/.test(wanted) || wanted.length < LEAST_DIGITS) {
      throw new GpufaasError('USAGE', `${JSON.stringify(wanted.slice(0, 80))} is not (the beginning of) a sha256.`, {
        suggestions: [`Give at least ${LEAST_DIGITS} of its digits; \`gpufaas models ls\` shows them.`],
      });
    }
    const client = await this.client();
    const found = (await client.models()).filter((model) => model.sha256.startsWith(wanted));
    const [model] = found;
    if (model === undefined || found.length > 1) {
      throw new GpufaasError('MODEL_NOT_FOUND', `${found.length || 'No'} models begin with ${wanted}.`, {
        suggestions: ['`gpufaas models ls` lists them.'],
      });
    }
    await client.removeModel(model.sha256);
    this.print(`Removed ${model.sha256}.`);
    return { sha256: model.sha256, removed: true };
  }
}
