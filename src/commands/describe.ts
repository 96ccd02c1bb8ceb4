import * as Args from '@oclif/core/args';
import { BaseCommand } from '../cli/base-command.ts';
import { renderFunction } from '../cli/render/function.ts';

export default class Describe extends BaseCommand {
  static override summary = 'Show everything about a function';
  static override description =
    'Versions, models with their inputs, outputs and measured profile, and the last errors; calls that were given up are none.';
  static override examples = [{ description: 'The function digits', command: '<%= config.bin %> describe digits' }];
  static override args = { fn: Args.string({ name: 'FN', description: 'name of the function', required: true }) };

  async run(): Promise<unknown> {
    const { args } = await this.parse(Describe);
    const detail = await (await this.client()).function(args.fn);
    this.print(renderFunction(detail));
    return detail;
  }
}
