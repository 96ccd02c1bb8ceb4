import { setTimeout as sleep } from 'node:timers/promises';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { GpufaasClient } from '../client/client.ts';
import { locateDaemon } from '../client/locate.ts';
import { GpufaasError } from '../errors.ts';
import { formatDuration, parseDuration } from '../units.ts';

/** After draining: for evictions, processes and the database. */
const CLOSING_MS = 20_000;
const POLL_MS = 50;

export default class Down extends BaseCommand {
  static override summary = 'Stop the daemon after it has drained';
  static override description =
    'Calls under way are finished first, new ones are refused. What was deployed is there again after the next `up`.';
  static override examples = [
    { description: 'Wait at most 30 s for calls under way', command: '<%= config.bin %> down' },
    { description: 'Stop at once', command: '<%= config.bin %> down --drain 0' },
  ];
  static override flags = {
    drain: Flags.string({
      description: 'how long calls under way may take to finish',
      default: '30s',
      helpValue: 'DURATION',
    }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(Down);
    const drainMs = parseDuration(flags.drain);
    const client = await this.client().catch((error: unknown) => {
      throw error instanceof GpufaasError && error.code === 'NO_DAEMON' ? this.#nothingToStop(error) : error;
    });
    const { pid, url } = await client.status();
    await client.shutdown(drainMs);
    this.goesOn = 'The daemon goes on draining and then stops: `gpufaas status` shows whether it is still there.';
    const startedAtMs = Date.now();
    while (await this.#answers(client.url, pid)) {
      const waitedMs = Date.now() - startedAtMs;
      this.progress.show(`Draining (${formatDuration(waitedMs)})`);
      if (waitedMs > drainMs + CLOSING_MS) {
        throw new GpufaasError('TIMEOUT', `The daemon (pid ${pid}) did not end in time.`, {
          suggestions: [`Look at its log; \`kill -9 ${pid}\` ends it, and nothing that was deployed is lost.`],
        });
      }
      await sleep(POLL_MS, undefined, { signal: this.signal });
    }
    this.progress.clear();
    this.print('The daemon has stopped.');
    this.next('gpufaas up');
    return { stopped: true, pid, url };
  }

  #nothingToStop(error: GpufaasError): GpufaasError {
    return new GpufaasError('NO_DAEMON', error.message, {
      cause: error,
      suggestions: [
        `There is nothing to stop. A daemon of another home has another GPUFAAS_HOME; this is ${this.home.root}.`,
      ],
    });
  }

  /** Whether that daemon is still there: its process on this machine, its answers elsewhere. */
  async #answers(url: string, pid: number): Promise<boolean> {
    const location = locateDaemon(this.home);
    if (location === null || location.source === 'home') return isAlive(pid);
    try {
      const identity = await new GpufaasClient({ ...location, url, signal: this.signal }).identify(2_000);
      return identity?.pid === pid;
    } catch (error) {
      if (error instanceof GpufaasError && error.code === 'NO_DAEMON') return false;
      throw error;
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
