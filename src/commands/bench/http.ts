import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { describeContext } from '../../bench/context.ts';
import { runLoad } from '../../bench/http/load.ts';
import { failureOf, renderLoad, summariseLoad } from '../../bench/http/report.ts';
import { sampleInput } from '../../bench/http/sample-input.ts';
import { parseNumber, parseWhole } from '../../bench/numbers.ts';
import { routes } from '../../api/routes.ts';
import { BaseCommand } from '../../cli/base-command.ts';
import { readInput } from '../../cli/input.ts';
import { renderTiming } from '../../cli/render/timing.ts';
import { readCallHeaders } from '../../client/call-headers.ts';
import type { GpufaasClient } from '../../client/client.ts';
import { locateDaemon } from '../../client/locate.ts';
import { GpufaasError } from '../../errors.ts';
import { formatDuration, parseDuration } from '../../units.ts';

export default class BenchHttp extends BaseCommand {
  static override summary = 'Load-test one function over HTTP';
  static override description =
    'Calls the function over and over: -c callers that each wait for their answer, or --rate calls a second whatever the ' +
    'answers do. Says how many were answered, how fast, and where the time went. A first call, not counted, warms it up. Ends early, with exit code 4, when ' +
    'the daemon is gone; exits with 1 when most calls failed.';
  static override examples = [
    { description: 'Eight callers for ten seconds', command: '<%= config.bin %> bench http digits -f seven.png' },
    {
      description: '200 calls a second for a minute',
      command: '<%= config.bin %> bench http digits -f seven.png --rate 200 -d 1m',
    },
  ];
  static override args = {
    fn: Args.string({ description: 'name of the function; FN/PATH calls it with a sub-path', required: true }),
  };
  static override flags = {
    callers: Flags.string({ char: 'c', description: 'callers of a closed loop', default: '8', helpValue: 'N' }),
    duration: Flags.string({ char: 'd', description: 'how long', default: '10s', helpValue: 'DURATION' }),
    rate: Flags.string({ description: 'calls a second: an open loop', helpValue: 'N' }),
    data: Flags.string({ description: 'send this text', helpValue: 'TEXT', exclusive: ['file'] }),
    file: Flags.string({
      char: 'f',
      description: 'send this file; default for a bare model: zeros of the right shape',
      helpValue: 'FILE',
    }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(BenchHttp);
    const plan = {
      callers: parseWhole('--callers', flags.callers, 1, 10_000),
      durationMs: parseDuration(flags.duration),
      rate: flags.rate === undefined ? null : parseNumber('--rate', flags.rate, { above: 0, atMost: 100_000 }),
    };
    if (plan.durationMs <= 0)
      throw new GpufaasError('USAGE', 'A load test of no time measures nothing.', {
        suggestions: ['For example -d 10s.'],
      });
    const client = await this.client();
    const slash = args.fn.indexOf('/');
    const name = slash === -1 ? args.fn : args.fn.slice(0, slash);
    const path = slash === -1 ? '' : args.fn.slice(slash);
    const { headers, body } = await this.input(client, name, flags);
    const token = locateDaemon(this.home)?.token;
    await this.warmUp(client, name, path, { headers, body });
    const outcome = await runLoad(
      {
        url: new URL(`${routes.call(name)}${path}`, client.url),
        headers: { ...headers, ...(token == null ? {} : { authorization: `Bearer ${token}` }) },
        body,
      },
      {
        ...plan,
        signal: this.signal,
        onProgress: (elapsedMs, calls) =>
          this.progress.show(`${calls} calls in ${formatDuration(elapsedMs)} of ${formatDuration(plan.durationMs)}`),
      },
    );
    const devices = await client.devices().catch(() => []);
    const settings = { ...plan, function: args.fn, bodyBytes: body.length };
    const context = describeContext('http', devices, settings);
    const report = summariseLoad(args.fn, { ...plan, signal: this.signal }, outcome, context);
    this.print(renderLoad(report));
    const failure = failureOf(report);
    if (report.interrupted) process.exitCode = 130;
    else if (failure !== null) {
      process.exitCode = failure.exitCode;
      // With --json the report is the answer, and says it too.
      if (!this.jsonEnabled()) throw failure;
    }
    return report;
  }

  private async input(
    client: GpufaasClient,
    name: string,
    flags: { readonly data?: string | undefined; readonly file?: string | undefined },
  ): Promise<{ headers: Readonly<Record<string, string>>; body: Uint8Array }> {
    if (flags.data === undefined && flags.file === undefined) return sampleInput(await client.function(name));
    const input = await readInput({ ...flags, signal: this.signal, onWaiting: (message) => this.note(message) });
    return { headers: { 'content-type': input.contentType }, body: input.body };
  }

  private async warmUp(
    client: GpufaasClient,
    name: string,
    path: string,
    input: { readonly headers: Readonly<Record<string, string>>; readonly body: Uint8Array },
  ): Promise<void> {
    this.progress.show('First call');
    const answer = await client.call(name, { ...input, path });
    for await (const chunk of answer.body) void chunk;
    this.note(`First call, not counted: ${renderTiming(readCallHeaders(answer.headers))}`);
    if (answer.status < 400) return;
    throw new GpufaasError('HANDLER_ERROR', `${name} answered the first call with status ${answer.status}.`, {
      suggestions: [
        `Try \`gpufaas invoke ${name}\` with the same input; \`gpufaas logs ${name}\` shows what it logged.`,
      ],
    });
  }
}
