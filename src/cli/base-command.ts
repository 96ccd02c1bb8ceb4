// What every command has in common: --json, interruption by Ctrl-C, a way to the daemon, and where words go (results to
// stdout, all else to stderr). Errors are left to main.ts, the one place that prints them.

import { Command } from '@oclif/core/command';
import type { GpufaasClient } from '../client/client.ts';
import { GpufaasError } from '../errors.ts';
import { resolveHome, type Home } from '../home.ts';
import { asTyped } from './as-typed.ts';
import { connect } from './connect.ts';
import { Progress } from './render/progress.ts';

/** How long a command may take to clean up after Ctrl-C before the process ends anyway. */
const CLEANUP_MS = 5_000;

/** Base class of all commands. `run` returns what --json prints. */
export abstract class BaseCommand extends Command {
  static override enableJsonFlag = true;

  /** Fires on Ctrl-C; what waits must listen to it. */
  readonly signal: AbortSignal;
  protected readonly home: Home = resolveHome();
  protected readonly progress = new Progress();
  /** Set by commands that only Ctrl-C ends: then it is no failure, and nothing is said of it. */
  protected endless = false;
  /** Set by commands that wait for what goes on without them: what to do about that after Ctrl-C. */
  protected goesOn: string | null = null;
  readonly #interruption = new AbortController();

  constructor(...parameters: ConstructorParameters<typeof Command>) {
    super(...parameters);
    this.signal = this.#interruption.signal;
  }

  /** A client of the daemon. Throws NO_DAEMON if none runs, unless `start` says to start one. */
  protected client({ start = false }: { start?: boolean } = {}): Promise<GpufaasClient> {
    const { home, signal, progress } = this;
    return connect({ home, signal, progress, start, version: this.config.version, note: (text) => this.note(text) });
  }

  /** A result for people, on stdout; nothing with --json. */
  protected print(text: string): void {
    if (!this.jsonEnabled()) process.stdout.write(`${text}\n`);
  }

  /** Something to know that is not the result, on stderr; nothing with --json. */
  protected note(text: string): void {
    if (this.jsonEnabled()) return;
    this.progress.clear();
    process.stderr.write(`${asTyped(text)}\n`);
  }

  /** The commands that come next, on stderr, after success. */
  protected next(...commands: readonly string[]): void {
    this.note(`Next: ${commands.map((command) => `\`${command}\``).join(' or ')}`);
  }

  protected override async init(): Promise<void> {
    await super.init();
    process.on('SIGINT', this.interrupt);
  }

  /** First Ctrl-C: what runs is aborted and cleans up. Second, or too slow: the process ends. */
  protected readonly interrupt = (): void => {
    if (this.signal.aborted) process.exit(130);
    const suggestions = this.goesOn === null ? [] : [this.goesOn];
    this.#interruption.abort(new GpufaasError('CANCELLED', 'Interrupted.', { suggestions }));
    setTimeout(() => process.exit(130), CLEANUP_MS).unref();
  };

  protected override async finally(error: Error | undefined): Promise<void> {
    process.off('SIGINT', this.interrupt);
    this.progress.clear();
    await super.finally(error);
  }

  protected override async catch(error: Error): Promise<never> {
    // Whatever it was that failed when the user interrupted it, it is the interruption that counts.
    if (this.signal.aborted && this.endless) {
      process.exitCode = 130;
      return this.exit(130);
    }
    if (this.signal.aborted) throw this.signal.reason;
    // oclif's own checks of numbers and the like throw plain errors, which would pass for bugs.
    const fromCheck = !this.parsed && !(error instanceof GpufaasError) && !('oclif' in error);
    if (!fromCheck) throw error;
    throw new GpufaasError('USAGE', error.message, {
      cause: error,
      suggestions: [`\`gpufaas ${this.id?.replaceAll(':', ' ')} --help\` shows how it is used.`],
    });
  }

  protected override logJson(json: unknown): void {
    process.stdout.write(`${JSON.stringify(json, null, 2)}\n`);
  }
}
