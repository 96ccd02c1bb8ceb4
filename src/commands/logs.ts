import { styleText } from 'node:util';
import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import type { LogLineMessage } from '../api/schemas.ts';
import { BaseCommand } from '../cli/base-command.ts';

export default class Logs extends BaseCommand {
  static override summary = 'Show what a function logged';
  static override description =
    'Each line with its time and the call it belongs to. With --json an array; with --json and -f one object a line.';
  static override examples = [
    { description: 'The last hundred lines', command: '<%= config.bin %> logs digits' },
    { description: 'And whatever comes', command: '<%= config.bin %> logs digits -f' },
  ];
  static override args = { fn: Args.string({ description: 'name of the function', required: true }) };
  static override flags = {
    follow: Flags.boolean({ char: 'f', description: 'go on with new lines until Ctrl-C' }),
    tail: Flags.integer({
      char: 'n',
      description: 'begin with the last N lines',
      helpValue: 'N',
      default: 100,
      min: 0,
    }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Logs);
    const client = await this.client();
    this.endless = flags.follow;
    const lines: LogLineMessage[] = [];
    let silent = true;
    for await (const line of client.logs(args.fn, { follow: flags.follow, tail: flags.tail })) {
      silent = false;
      if (!this.jsonEnabled()) this.print(renderLogLine(line));
      else if (flags.follow) process.stdout.write(`${JSON.stringify(line)}\n`);
      else lines.push(line);
    }
    if (silent && flags.tail > 0 && !flags.follow) this.note(`${args.fn} has logged nothing yet.`);
    return flags.follow ? undefined : lines;
  }
}

function renderLogLine(line: LogLineMessage): string {
  const head = `${line.at} ${line.callId ?? '-'}`;
  const level = line.level === 'info' ? '' : `${line.level}: `;
  return `${styleText('dim', head, { stream: process.stdout })} ${level}${line.text}`;
}
