import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../../cli/base-command.ts';
import { installCuda } from '../../devices/install-cuda.ts';

export default class SetupCuda extends BaseCommand {
  static override summary = "Install ONNX Runtime's CUDA libraries";
  static override description =
    'Downloads them beside the runtime that gpufaas uses (Linux on x86-64). CUDA 12 and cuDNN 9 must be on the machine.';
  static override examples = [
    { description: 'Once, after installing gpufaas', command: '<%= config.bin %> setup cuda' },
    { description: 'Again, over what is there', command: '<%= config.bin %> setup cuda --force' },
  ];
  static override flags = { force: Flags.boolean({ description: 'install again although they are there' }) };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(SetupCuda);
    this.progress.show('Downloading the CUDA libraries');
    const installed = await installCuda({ force: flags.force, signal: this.signal });
    this.progress.clear();
    this.print(installed ? 'The CUDA libraries are installed.' : 'The CUDA libraries were installed already.');
    this.next('gpufaas up --devices cuda');
    return { installed };
  }
}
