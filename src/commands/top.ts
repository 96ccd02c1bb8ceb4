import { setTimeout as sleep } from 'node:timers/promises';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { renderTop, type TopView } from '../cli/render/top.ts';
import type { GpufaasClient } from '../client/client.ts';
import { GpufaasError } from '../errors.ts';
import { parseDuration } from '../units.ts';

const RECENT_CALLS = 10;
const LEAST_INTERVAL_MS = 100;

const ENTER_SCREEN = '\x1b[?1049h\x1b[?25l';
const LEAVE_SCREEN = '\x1b[?25h\x1b[?1049l';
const TO_THE_TOP = '\x1b[H';
const CLEAR_TO_END_OF_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

export default class Top extends BaseCommand {
  static override summary = 'Watch devices, models and calls live';
  static override description = 'q or Ctrl-C ends it. Without a terminal, or with --json, it shows the present once.';
  static override examples = [
    { description: 'Every second', command: '<%= config.bin %> top' },
    { description: 'Four times a second', command: '<%= config.bin %> top --interval 250ms' },
  ];
  static override flags = {
    interval: Flags.string({ description: 'time between two looks', default: '1s', helpValue: 'DURATION' }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(Top);
    const intervalMs = parseDuration(flags.interval);
    if (intervalMs < LEAST_INTERVAL_MS) {
      throw new GpufaasError('USAGE', `--interval is at least ${LEAST_INTERVAL_MS}ms.`, {
        suggestions: ['The default is 1s.'],
      });
    }
    const client = await this.client();
    const { stdout } = process;
    if (this.jsonEnabled() || !stdout.isTTY) {
      const view = await look(client);
      this.print(renderTop(view, Date.now(), Infinity).join('\n'));
      return view;
    }
    this.endless = true;
    const quit = listenForQuit();
    stdout.write(ENTER_SCREEN);
    try {
      while (!quit.signal.aborted && !this.signal.aborted) {
        const lines = renderTop(await look(client), Date.now(), stdout.columns || 80).slice(0, (stdout.rows || 25) - 1);
        stdout.write(TO_THE_TOP + lines.map((line) => `${line}${CLEAR_TO_END_OF_LINE}\n`).join('') + CLEAR_BELOW);
        await sleep(intervalMs, undefined, { signal: AbortSignal.any([quit.signal, this.signal]) }).catch(() => {});
      }
    } finally {
      quit.release();
      stdout.write(LEAVE_SCREEN);
    }
    if (this.signal.aborted) throw this.signal.reason;
    return undefined;
  }
}

async function look(client: GpufaasClient): Promise<TopView> {
  const [status, ps, calls] = await Promise.all([
    client.status(),
    client.ps(),
    client.invocations({ limit: RECENT_CALLS }),
  ]);
  return { status, ps, calls };
}

/** Fires on q. In raw mode the terminal sends Ctrl-C as a character too: it is turned back into a signal. */
function listenForQuit(): { signal: AbortSignal; release: () => void } {
  const quit = new AbortController();
  const { stdin } = process;
  const onKey = (key: Buffer) => {
    if (key[0] === 3) process.kill(process.pid, 'SIGINT');
    else if (key.toString().toLowerCase() === 'q') quit.abort();
  };
  if (stdin.isTTY) stdin.setRawMode(true).on('data', onKey);
  const release = () => {
    stdin.off('data', onKey);
    if (stdin.isTTY) stdin.setRawMode(false).pause();
  };
  return { signal: quit.signal, release };
}
