import { relative } from 'node:path';
import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import type { DeployResult } from '../api/schemas.ts';
import { BaseCommand } from '../cli/base-command.ts';
import { emulationNotice } from '../cli/emulated.ts';
import { nextCalls } from '../cli/example-call.ts';
import { describeFailure, printFailure } from '../cli/failure.ts';
import { renderDeployment } from '../cli/render/deployment.ts';
import { startFlag } from '../cli/start-flag.ts';
import type { GpufaasClient } from '../client/client.ts';
import { packageStream, preparePackage, sampleOf, type Package } from '../client/pack.ts';
import { watchPackage } from '../client/watch.ts';
import { GpufaasError } from '../errors.ts';
import { formatDuration, formatSize } from '../units.ts';

export default class Deploy extends BaseCommand {
  static override summary = 'Deploy a function, or a bare ONNX model as one';
  static override description =
    'Packs and uploads the folder; the daemon checks it, prepares and profiles its models, sends it the sample, and ' +
    'switches over. Until then the last version serves. What .gpufaasignore names stays at home.';
  static override examples = [
    { description: 'The function in this folder', command: '<%= config.bin %> deploy' },
    {
      description: 'One in another folder, under another name',
      command: '<%= config.bin %> deploy ./digits --name digits-2',
    },
    { description: 'Again after every change', command: '<%= config.bin %> deploy ./digits --watch' },
    { description: 'A bare model: tensors in, tensors out', command: '<%= config.bin %> deploy resnet50.onnx' },
  ];
  static override args = {
    path: Args.string({ description: 'a folder with a function.yaml, or an .onnx file', default: '.' }),
  };
  static override flags = {
    name: Flags.string({ description: 'name of the function', helpValue: 'N' }),
    watch: Flags.boolean({ char: 'w', description: 'deploy again whenever a file changes, until Ctrl-C' }),
    note: Flags.string({ description: 'free text to remember with the version', helpValue: 'TEXT', default: '' }),
    ...startFlag,
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Deploy);
    const packed = await preparePackage(args.path, flags.name);
    const client = await this.client({ start: flags.start });
    this.endless = flags.watch;
    if (flags.watch) return await this.#watch(client, packed, flags.note, () => preparePackage(args.path, flags.name));
    const result = await this.#upload(client, packed, flags.note);
    this.print(renderDeployment(result));
    if (this.jsonEnabled()) return result;
    const notice = emulationNotice(await client.devices());
    if (notice !== null) this.note(notice);
    const sample = sampleOf(packed);
    const detail = await client.function(result.name);
    this.next(...nextCalls(detail, sample && relative('.', sample), `gpufaas describe ${result.name}`));
    return result;
  }

  /** Deploys now and after every change, until Ctrl-C; a deployment that fails leaves the last version serving. */
  async #watch(client: GpufaasClient, first: Package, note: string, prepare: () => Promise<Package>): Promise<never> {
    let packed = first;
    for await (const _change of watchPackage(first, this.signal)) {
      const startedAtMs = performance.now();
      try {
        packed = await prepare();
        const result = await this.#upload(client, packed, note);
        const took = formatDuration(performance.now() - startedAtMs);
        this.print(`${result.name} version ${result.version} serves (${took})`);
        if (this.jsonEnabled()) process.stdout.write(`${JSON.stringify(result)}\n`);
      } catch (error) {
        this.progress.clear();
        const failure = describeFailure(error);
        if (this.signal.aborted || failure === null || failure.code === 'NO_DAEMON') throw error;
        printFailure(failure, this.jsonEnabled());
      }
      this.note(`Watching ${packed.folder}; Ctrl-C ends it.`);
    }
    throw this.signal.reason;
  }

  async #upload(client: GpufaasClient, packed: Package, note: string): Promise<DeployResult> {
    const total = formatSize(packed.totalBytes);
    const archive = await packageStream(packed, (sent) => {
      this.progress.show(`Uploading ${formatSize(Math.min(sent, packed.totalBytes))} of ${total}`);
    });
    for await (const step of client.deploy(archive, note)) {
      if (step.type === 'done') {
        this.progress.clear();
        return step.result;
      }
      if (step.step === 'warning') {
        this.note(step.message);
        continue;
      }
      const share = step.total ? ` (${Math.round((100 * (step.done ?? 0)) / step.total)}%)` : '';
      this.progress.show(`${step.message}${share}`);
    }
    throw new GpufaasError('NO_DAEMON', 'The daemon stopped answering before the deployment was done.', {
      suggestions: ['See `gpufaas status`, then deploy again; the last version still serves.'],
    });
  }
}
