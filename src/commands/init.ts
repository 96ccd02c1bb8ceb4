import { resolve } from 'node:path';
import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { ask, canAsk } from '../cli/prompt.ts';
import { renderTable } from '../cli/render/table.ts';
import {
  findTemplate,
  linkPackage,
  listTemplates,
  packageRoot,
  sampleIn,
  scaffold,
  type Template,
} from '../cli/templates.ts';
import { checkFunctionName } from '../client/function-name.ts';
import { GpufaasError } from '../errors.ts';

export default class Init extends BaseCommand {
  static override summary = 'Make a new function from a template';
  static override description = 'Makes the folder NAME. Asks for what is missing if it has a terminal.';
  static override examples = [
    { description: 'What there is', command: '<%= config.bin %> init --list' },
    { description: 'A function that reads digits', command: '<%= config.bin %> init digits --template digits' },
  ];
  static override args = { name: Args.string({ description: 'name of the function and of its folder' }) };
  static override flags = {
    template: Flags.string({ char: 't', description: 'template to start from', helpValue: 'T' }),
    list: Flags.boolean({ description: 'list the templates' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Init);
    const templates = listTemplates();
    if (flags.list) {
      this.#show(templates);
      this.next('gpufaas init NAME --template TEMPLATE');
      return templates.map((template) => ({ name: template.name, description: template.description }));
    }
    const template = await this.#chooseTemplate(templates, flags.template, args.name);
    const mayAsk = canAsk() && !this.jsonEnabled();
    const name = args.name ?? (mayAsk ? await ask('Name of the function?', template.name) : template.name);
    checkFunctionName(name);
    const folder = resolve(name);
    const files = scaffold(template, folder, name);
    this.print(`Made ${name} from the template ${template.name}: ${files.length} files in ${folder}`);
    if (!linkPackage(folder))
      this.note(
        `No link to gpufaas could be made. For its tests and your editor: npm install --no-save "${packageRoot()}" sharp @types/node`,
      );
    const sample = sampleIn(folder);
    this.note(
      `Next:\n  cd ${name}\n  gpufaas deploy\n  gpufaas invoke ${name} ${sample === null ? '-d TEXT' : `-f ${sample}`}`,
    );
    return { name, template: template.name, folder, files };
  }

  #show(templates: readonly Template[]): void {
    this.print(
      renderTable(templates, [
        { title: 'TEMPLATE', value: (template) => template.name },
        { title: 'SHOWS', value: (template) => template.description },
      ]),
    );
  }

  async #chooseTemplate(
    templates: readonly Template[],
    wanted: string | undefined,
    name: string | undefined,
  ): Promise<Template> {
    if (wanted !== undefined) return findTemplate(templates, wanted);
    const namesake = templates.find((template) => template.name === name);
    if (namesake !== undefined) return namesake;
    if (!canAsk() || this.jsonEnabled()) {
      throw new GpufaasError('USAGE', 'Which template?', {
        suggestions: [
          `Say --template ${templates.map((template) => template.name).join(' | ')}; --list describes them.`,
        ],
      });
    }
    this.#show(templates);
    return findTemplate(templates, await ask('Template?', 'digits'));
  }
}
