import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { aboutFunction } from '../cli/about-function.ts';
import { collect, copyToStdout, describeCall, resultOf, whyBrokenOff } from '../cli/answer.ts';
import { BaseCommand } from '../cli/base-command.ts';
import { readInput } from '../cli/input.ts';
import { renderTiming } from '../cli/render/timing.ts';
import { startFlag } from '../cli/start-flag.ts';
import { readCallHeaders } from '../client/call-headers.ts';
import type { Call, GpufaasClient } from '../client/client.ts';
import { GpufaasError } from '../errors.ts';
import { parseDuration } from '../units.ts';

const TIMER_SLACK_MS = 5;

export default class Invoke extends BaseCommand {
  static override summary = 'Call a function';
  static override description = [
    'The input is TEXT, a file, or the standard input. Its content type is taken from the file name or from the content;',
    "-H sets another. The function's answer goes to the standard output, a line about the timing to the standard error:",
    'HIT if every model was resident, MISS if one had to be loaded for the call. What of a load went on beside the handler,',
    'so that nobody waited for it, stands at the end.',
  ].join(' ');
  static override examples = [
    { description: 'A file', command: '<%= config.bin %> invoke digits -f seven.png' },
    { description: 'Text', command: `<%= config.bin %> invoke language -d 'Guten Morgen'` },
    {
      description: 'From a pipe, all about the call as JSON',
      command: 'cat seven.png | <%= config.bin %> invoke digits --json',
    },
    {
      description: 'One model of a function without handler',
      command: '<%= config.bin %> invoke pair/second -f tensors.json',
    },
  ];
  static override args = {
    fn: Args.string({ description: 'name of the function; FN/PATH calls it with a sub-path', required: true }),
  };
  static override flags = {
    data: Flags.string({ char: 'd', description: 'send this text', helpValue: 'TEXT' }),
    file: Flags.string({ char: 'f', description: 'send this file', helpValue: 'FILE' }),
    header: Flags.string({
      char: 'H',
      description: 'add a header',
      helpValue: 'NAME:VALUE',
      multiple: true,
      multipleNonGreedy: true,
    }),
    async: Flags.boolean({ description: 'do not wait: print the id of the call; `calls show` fetches the answer' }),
    timeout: Flags.string({ description: 'give up after this time', helpValue: 'DURATION', default: '1h' }),
    ...startFlag,
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Invoke);
    const headers = parseHeaders(flags.header ?? []);
    const timeoutMs = parseDuration(flags.timeout);
    if (timeoutMs <= 0) {
      throw new GpufaasError('USAGE', '--timeout 0 leaves no time for an answer.', {
        suggestions: ['For example --timeout 30s; `--async` does not wait at all.'],
      });
    }
    if (flags.data !== undefined && flags.file !== undefined) {
      throw new GpufaasError('USAGE', 'Give --data or --file, not both.', {
        suggestions: ['`gpufaas invoke --help` shows how it is used.'],
      });
    }
    const { signal } = this;
    const slash = args.fn.indexOf('/');
    const name = slash === -1 ? args.fn : args.fn.slice(0, slash);
    const input = await readInput({ ...flags, signal, onWaiting: (message) => this.note(message) });
    const client = await this.client({ start: flags.start });
    const call = {
      body: input.body,
      ...(slash !== -1 && { path: args.fn.slice(slash) }),
      headers: { 'content-type': input.contentType, ...headers },
      timeoutMs,
    };
    const startedAtMs = performance.now();
    try {
      return flags.async ? await this.#callLater(client, name, call) : await this.#call(client, name, call);
    } catch (error) {
      // The function's own limit, which is shorter, is told by the daemon; timers may be a moment early.
      const late = performance.now() - startedAtMs > timeoutMs - TIMER_SLACK_MS;
      if (error instanceof GpufaasError && error.code === 'TIMEOUT' && late) throw outOfTime(args.fn, timeoutMs);
      throw aboutFunction(error, name);
    }
  }

  async #callLater(client: GpufaasClient, name: string, call: Call): Promise<unknown> {
    const id = await client.callLater(name, call);
    this.print(id);
    this.next(`gpufaas calls show ${id}`, `gpufaas calls cancel ${id}`);
    return { id, function: name, status: 'queued' };
  }

  async #call(client: GpufaasClient, name: string, call: Call): Promise<unknown> {
    const answer = await client.call(name, call);
    const callHeaders = readCallHeaders(answer.headers);
    if (answer.status >= 400) process.exitCode = 1;
    try {
      if (this.jsonEnabled()) {
        const result = resultOf(await collect(answer.body), answer.headers['content-type']);
        return await describeCall(client, { name, status: answer.status, result, headers: callHeaders });
      }
      await copyToStdout(answer.body, this.signal);
    } catch (error) {
      throw await whyBrokenOff(error, client, callHeaders.id);
    }
    this.note(renderTiming(callHeaders));
    if (answer.status >= 400) {
      throw new GpufaasError('HANDLER_ERROR', `${name} answered with status ${answer.status}.`, {
        suggestions: [afterAnswer(name, answer.status)],
      });
    }
    return undefined;
  }
}

/** What to do about an error status that the function itself gave: 4xx is about the input, the rest about the handler. */
function afterAnswer(name: string, status: number): string {
  return status < 500
    ? `The function refused the input: compare it with its sample; \`gpufaas describe ${name}\` shows what there is to know.`
    : `\`gpufaas logs ${name}\` shows what it logged, \`gpufaas explain\` what happened.`;
}

function outOfTime(fn: string, timeoutMs: number): GpufaasError {
  return new GpufaasError('TIMEOUT', `${fn} did not answer within ${formatSeconds(timeoutMs)} (--timeout).`, {
    suggestions: ['Give it longer with --timeout, or do not wait: --async. `gpufaas ps` shows what the devices do.'],
  });
}

function formatSeconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(3))} s`;
}

function parseHeaders(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const match = /^([!#$%&'*+.^_`|~\w-]+):\s*([\t\x20-\x7e\x80-\xff]*)$/.exec(line);
    if (match === null) {
      throw new GpufaasError('USAGE', `${JSON.stringify(line.slice(0, 80))} is not a header.`, {
        suggestions: ["Write it as -H 'Name: value'."],
      });
    }
    headers[match[1]!.toLowerCase()] = match[2]!.trim();
  }
  return headers;
}
