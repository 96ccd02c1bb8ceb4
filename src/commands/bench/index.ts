import * as Flags from '@oclif/core/flags';
import { parseNumber } from '../../bench/numbers.ts';
import { emulate } from '../../bench/real/emulate.ts';
import type { RealOptions } from '../../bench/real/emulate.ts';
import { live } from '../../bench/real/live.ts';
import { checkOutputs } from '../../bench/outputs.ts';
import { PICTURE_MS } from '../../bench/report/page.ts';
import { saveBench } from '../../bench/report/save.ts';
import { fetchRecording } from '../../bench/recording.ts';
import { replayRecording } from '../../bench/replay.ts';
import { runBench } from '../../bench/run-bench.ts';
import type { BenchFindings } from '../../bench/run-bench.ts';
import { BENCH_DEFAULTS, readSettings } from '../../bench/settings.ts';
import type { BenchFlags } from '../../bench/settings.ts';
import { renderReport } from '../../bench/table.ts';
import { parseWhatIf } from '../../bench/what-if.ts';
import { BaseCommand } from '../../cli/base-command.ts';
import { GpufaasError } from '../../errors.ts';

const text = (helpGroup: Group, helpValue: string, description: string) =>
  Flags.string({ description, helpValue, helpGroup });

/** One run says little on real devices. */
const LIVE_SEEDS = '1-5';

type Group = 'WORKLOAD' | 'DEVICES AND POLICIES' | 'REAL DAEMON' | 'OUTPUT';

export default class Bench extends BaseCommand {
  static override summary = 'Compare the scheduling policies';
  static override description =
    'Runs the policies side by side, in virtual time, on the workload "paper": 12 GPUs, 325 requests a minute for six ' +
    'minutes, working sets of 15, 25 and 35 models. Other workloads, devices and real daemons by flags.';
  static override examples = [
    { description: 'The policies on the workload "paper"', command: '<%= config.bin %> bench' },
    {
      description: 'Two of them, averaged over 20 seeds',
      command: '<%= config.bin %> bench --policy lalbo3,locality --seeds 1-20',
    },
    {
      description: 'How much load each carries',
      command: '<%= config.bin %> bench --working-set 35 --minutes 12 --sweep rpm=100..600:50',
    },
    {
      description: 'A real trace (Azure Functions 2019), half an hour of it',
      command: '<%= config.bin %> bench --trace invocations.csv --window 60:30',
    },
    {
      description: 'Exactly these requests, and what each device did',
      command: '<%= config.bin %> bench --policy lalbo3 --requests r.csv --profile p.json --timeline t.csv',
    },
    {
      description: 'What the last day would have been like on four larger devices',
      command: '<%= config.bin %> bench --replay 24h --what-if devices=4,memory=16GB',
    },
    {
      description: 'What to buy to keep p99 under two seconds',
      command: '<%= config.bin %> bench --replay --what-if p99=2s',
    },
  ];
  static override flags = {
    policy: text('DEVICES AND POLICIES', 'NAME,…', 'policies to compare, by name or path of a module; default all'),
    'working-set': text(
      'WORKLOAD',
      'N,…',
      `how many functions, each with its own model [${BENCH_DEFAULTS['working-set']}]`,
    ),
    devices: text(
      'DEVICES AND POLICIES',
      'N|SPEC',
      `how many devices, or a SPEC as for \`up\` [${BENCH_DEFAULTS.devices}]`,
    ),
    memory: text('DEVICES AND POLICIES', 'SIZE', `memory of each device [${BENCH_DEFAULTS.memory}]`),
    rpm: text('WORKLOAD', 'N', `requests a minute, or \`full\` for a trace as it was [${BENCH_DEFAULTS.rpm}]`),
    minutes: text(
      'WORKLOAD',
      'N',
      `how long [${BENCH_DEFAULTS.minutes}; with --live half a minute for each policy and seed]`,
    ),
    skew: text('WORKLOAD', 'S', `Zipf exponent of popularity [${BENCH_DEFAULTS.skew}]`),
    seed: text('WORKLOAD', 'N', `seed of the workload [${BENCH_DEFAULTS.seed}; with --live --seeds ${LIVE_SEEDS}]`),
    seeds: text('WORKLOAD', 'N-M', `several seeds, averaged: 1-5 [with --live ${LIVE_SEEDS}]`),
    trace: text('WORKLOAD', 'FILE', 'a real workload: per-minute CSV of Azure Functions 2019'),
    window: text('WORKLOAD', 'START:MINUTES', 'part of the trace, in minutes from its first column'),
    requests: text('WORKLOAD', 'FILE', 'exactly these requests: CSV at_ms,model'),
    profile: text('WORKLOAD', 'FILE', 'what models cost: JSON; default the profile of the workload "paper"'),
    sweep: text('WORKLOAD', 'rpm=A..B:STEP', 'a load sweep: rpm=100..600:50'),
    overlap: text('DEVICES AND POLICIES', 'on|off', `whether a load goes on beside a run [${BENCH_DEFAULTS.overlap}]`),
    preload: Flags.boolean({
      description: 'models may be loaded before anyone asked for them',
      helpGroup: 'DEVICES AND POLICIES',
    }),
    'load-lanes': text('DEVICES AND POLICIES', 'N', 'loads under way at once on all devices'),
    'skip-limit': text(
      'DEVICES AND POLICIES',
      'N',
      `how often lalbo3 may pass a request [${BENCH_DEFAULTS['skip-limit']}]`,
    ),
    disable: text('DEVICES AND POLICIES', 'MECHANISM,…', 'mechanisms of `locality` to switch off'),
    replay: text('WORKLOAD', '[SINCE]', "the daemon's own recorded invocations, since a date or so long ago [all]"),
    'what-if': text(
      'DEVICES AND POLICIES',
      'WHAT,…',
      'other hardware or policy, or a limit that asks what to buy: devices=4,memory=16GB,policy=lb,p99=2s',
    ),
    emulate: Flags.boolean({
      description: 'the real daemon on emulated devices, time scaled',
      exclusive: ['live', 'replay'],
      helpGroup: 'REAL DAEMON',
    }),
    speed: text('REAL DAEMON', 'N', 'how many times faster time passes with --emulate [20]'),
    live: Flags.boolean({
      description: `the real daemon on real devices with real models: seeds ${LIVE_SEEDS}, one after the other, unless --seed or --seeds says otherwise`,
      exclusive: ['replay'],
      helpGroup: 'REAL DAEMON',
    }),
    functions: text('REAL DAEMON', 'PATH,…', 'functions for --live: folders or ONNX files; default seeded networks'),
    timeline: text('OUTPUT', 'FILE', 'write what each device did, as CSV'),
    out: text('OUTPUT', 'DIR', 'write report.html, results.json and results.csv'),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(Bench, withReplayDefault(this.argv));
    checkOutputs(flags);
    const findings = (await this.runForReal(flags)) ?? (await this.simulate(flags));
    this.progress.clear();
    const { report } = findings;
    this.print(renderReport(report));
    for (const file of findings.timelines) this.note(`Time line: ${file}`);
    if (flags.out !== undefined) this.note(`Saved: ${saveBench(flags.out, findings).join(', ')}`);
    if (report.interrupted) {
      this.note('Interrupted: this is what was done until then.');
      process.exitCode = 130;
    }
    return report;
  }

  /** The real daemon instead of the simulator; null if neither --emulate nor --live asks for it. */
  private async runForReal(flags: BenchFlags & Wanted): Promise<BenchFindings | null> {
    for (const [flag, needs] of NEEDS) {
      if (flags[flag] !== undefined && flags[needs] !== true)
        throw new GpufaasError('USAGE', `--${flag} belongs to --${needs}.`, { suggestions: [`Add --${needs}.`] });
    }
    if (flags.emulate !== true && flags.live !== true) return null;
    const what = flags.emulate === true ? '--emulate' : '--live';
    for (const flag of ['timeline', 'what-if', ...(flags.live === true ? LIVE_REFUSES : [])] as const) {
      if (flags[flag] === undefined || flags[flag] === false) continue;
      throw new GpufaasError('USAGE', `${what} does not go with --${flag}.`, {
        suggestions: ['Leave one of them out.'],
      });
    }
    // Whoever ends a long bench, its daemons and their homes go too, and what is done is printed.
    for (const signal of ['SIGTERM', 'SIGHUP']) process.once(signal, this.interrupt);
    const options: RealOptions = {
      signal: this.signal,
      onStep: (message) => this.progress.show(message),
      onPlan: (message) => this.note(message),
      // A terminal has the line of the progress; a log gets one for each case.
      onFinished: (message) => {
        if (!process.stderr.isTTY) this.note(message);
      },
    };
    if (flags.emulate === true) {
      const speed = parseNumber('--speed', flags.speed ?? '20', { above: 0, atMost: 1000 });
      const settings = readSettings({ 'working-set': '25', ...flags });
      return emulate(settings, speed, options);
    }
    const seeds = flags.seed === undefined ? { seeds: LIVE_SEEDS } : {};
    const settings = readSettings({ policy: 'lb,lalbo3,locality', ...seeds, ...flags, devices: undefined });
    const functions = flags.functions === undefined ? [] : flags.functions.split(',').map((path) => path.trim());
    return live({ settings, flags, functions }, options);
  }

  private async simulate(flags: BenchFlags & Wanted): Promise<BenchFindings> {
    const whatIf = flags['what-if'] === undefined ? null : parseWhatIf(flags['what-if']);
    const wishes = {
      signal: this.signal,
      timeline: flags.timeline,
      p99LimitMs: whatIf?.p99Ms ?? null,
      ...(flags.out === undefined ? {} : { pictureMs: PICTURE_MS }),
      onProgress: (done: number, total: number) => this.progress.show(`Simulated ${done} of ${total} requests`),
    };
    if (flags.replay === undefined) return runBench(readSettings({ ...flags, ...whatIf?.flags }), wishes);
    const since = flags.replay === EVER ? null : flags.replay;
    const recording = await fetchRecording(await this.client(), since);
    if (recording.leftOut > 0)
      this.note(`Left out: ${recording.leftOut} runs of functions that are not deployed any more.`);
    return replayRecording(recording, since, flags, whatIf, wishes);
  }
}

interface Wanted {
  readonly replay?: string | undefined;
  readonly 'what-if'?: string | undefined;
  readonly timeline?: string | undefined;
  readonly out?: string | undefined;
  readonly emulate?: boolean | undefined;
  readonly speed?: string | undefined;
  readonly live?: boolean | undefined;
  readonly functions?: string | undefined;
}

const NEEDS = [
  ['speed', 'emulate'],
  ['functions', 'live'],
] as const;

/** What only makes sense where devices are made up. */
const LIVE_REFUSES = [
  'trace',
  'requests',
  'profile',
  'sweep',
  'working-set',
  'overlap',
  'preload',
  'load-lanes',
  'skip-limit',
  'disable',
] as const;

/** Stands for a `--replay` without a value. */
const EVER = 'ever';

/** `--replay` may stand alone: everything that is recorded. */
function withReplayDefault(argv: readonly string[]): string[] {
  return argv.flatMap((word, index) => {
    const next = argv[index + 1];
    return word === '--replay' && (next === undefined || next.startsWith('-')) ? [word, EVER] : [word];
  });
}
