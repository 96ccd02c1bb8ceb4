import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../../cli/base-command.ts';
import { GpufaasError } from '../../errors.ts';
import { formatSize } from '../../units.ts';

export default class ModelsPull extends BaseCommand {
  static override summary = 'Fetch a model into the store';
  static override description =
    'Goes on where an interrupted download stopped, checks the sha256, and keeps equal bytes once. Functions use it by ' +
    'naming the same url and sha256 under `models` in function.yaml.';
  static override examples = [
    { description: 'From an address', command: '<%= config.bin %> models pull https://example.com/resnet50.onnx' },
    {
      description: 'From the Hugging Face hub',
      command: '<%= config.bin %> models pull hf://onnx-community/resnet-50-ONNX/onnx/model.onnx',
    },
  ];
  static override args = { url: Args.string({ description: 'https:// or hf://owner/repo/path', required: true }) };
  static override flags = {
    sha256: Flags.string({ description: 'accept only these bytes', helpValue: 'HEX' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(ModelsPull);
    if (flags.sha256 !== undefined && !/^[0-9a-f]{64}$/.test(flags.sha256)) {
      const shown = JSON.stringify(flags.sha256.slice(0, 80));
      throw new GpufaasError('USAGE', `${shown} is not a sha256: 64 hexadecimal digits.`, {
        suggestions: ['`sha256sum FILE` prints it; without --sha256 any bytes are taken.'],
      });
    }
    const client = await this.client();
    for await (const step of client.pullModel(args.url, flags.sha256)) {
      if (step.type === 'step') {
        const { done, total } = step;
        const amount =
          done === undefined ? '' : ` ${formatSize(done)}${total === undefined ? '' : ` of ${formatSize(total)}`}`;
        this.progress.show(`${step.message}${amount}`);
        continue;
      }
      this.progress.clear();
      this.print(`Stored ${step.result.sha256} (${formatSize(step.result.bytes)}).`);
      this.note(`In function.yaml:\n  models:\n    model: { url: '${args.url}', sha256: ${step.result.sha256} }`);
      return step.result;
    }
    throw new GpufaasError('NO_DAEMON', 'The daemon stopped answering before the model was stored.', {
      suggestions: ['Run it again: the download goes on where it stopped.'],
    });
  }
}
