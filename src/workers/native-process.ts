// How processes that load ONNX Runtime are started: with telemetry off, memory that is given back, and where it is asked
// for, a hard limit on what they may take.

import { readFileSync } from 'node:fs';

/** The environment of such a process: ours without what is private to us, and `extra`. */
export function nativeEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = {
    ...process.env,
    ORT_DISABLE_TELEMETRY: '1',
    // glibc gives freed memory back from 128 KiB on, so that an eviction is one for the machine too.
    MALLOC_TRIM_THRESHOLD_: '131072',
    ...extra,
  };
  for (const name of ['GPUFAAS_TOKEN', 'NODE_OPTIONS', 'NODE_CHANNEL_FD']) delete environment[name];
  return environment;
}

/** True if `nodeCommand` can limit memory on this system. */
export const canLimitMemory: boolean = process.platform === 'linux';

/**
 * The command that runs Node with these parameters. With a limit (Linux only, by the shell's ulimit), allocations that would
 * bring private writable memory over it fail; Node alone maps about a gigabyte of such addresses without using them.
 */
export function nodeCommand(parameters: readonly string[], dataLimitBytes?: number): [string, ...string[]] {
  const node: [string, ...string[]] = [process.execPath, '--disable-warning=ExperimentalWarning', ...parameters];
  if (dataLimitBytes === undefined || !canLimitMemory) return node;
  return ['/bin/sh', '-c', `ulimit -d ${Math.floor(dataLimitBytes / 1024)} && exec "$@"`, 'sh', ...node];
}

/** One of the sizes Linux tells of a process, in bytes; null elsewhere or if it is gone. */
export function processBytes(pid: number, field: 'VmRSS' | 'VmHWM' | 'VmData'): number | null {
  try {
    const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return match === null ? null : Number(match[1]) * 1024;
  } catch {
    return null;
  }
}
