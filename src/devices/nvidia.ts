// NVIDIA cards as nvidia-smi tells of them, always under a timeout: a driver in trouble can hang it.

import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';

/** One card. Sizes in bytes. */
export interface NvidiaCard {
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** For example 8.6; null if the driver does not say. */
  readonly computeCapability: number | null;
  readonly driverVersion: string;
  /** Partitioned cards can't be used whole. */
  readonly migEnabled: boolean;
}

/** What asking gave: cards, or why there are none. */
export interface NvidiaAnswer {
  readonly cards: readonly NvidiaCard[];
  /** Null if the question was answered; `absent` if the program is not there; else what went wrong. */
  readonly problem: { readonly kind: 'absent' | 'failed'; readonly message: string } | null;
}

const FIELDS = 'index,uuid,name,memory.total,memory.free,compute_cap,driver_version,mig.mode.current';
const TIMEOUT_MS = 10_000;
const MIB = 2 ** 20;

function ask(
  parameters: readonly string[],
  timeoutMs: number,
): Promise<{ readonly output: string; readonly problem: NvidiaAnswer['problem'] }> {
  return new Promise((resolve) => {
    execFile(
      'nvidia-smi',
      [...parameters],
      { timeout: timeoutMs, killSignal: 'SIGKILL', windowsHide: true, maxBuffer: 1 << 20 },
      (error, stdout, stderr) => {
        if (error === null) return resolve({ output: stdout, problem: null });
        if (error.code === 'ENOENT')
          return resolve({ output: '', problem: { kind: 'absent', message: 'nvidia-smi is not installed' } });
        const said = (stdout || stderr).trim().split('\n')[0]?.slice(0, 200) ?? '';
        const message =
          error.killed === true
            ? `nvidia-smi did not answer within ${timeoutMs} ms`
            : `nvidia-smi failed: ${said || error.message.split('\n')[0]}`;
        resolve({ output: '', problem: { kind: 'failed', message } });
      },
    );
  });
}

/** Reads one line of nvidia-smi's CSV; null if it is none. */
function parseCard(line: string): NvidiaCard | null {
  const [index, uuid, name, total, free, capability, driverVersion, mig] = line.split(',').map((field) => field.trim());
  if (
    index === undefined ||
    !/^\d+$/.test(index) ||
    uuid === undefined ||
    !uuid.startsWith('GPU-') ||
    !/^\d+$/.test(total ?? '')
  )
    return null;
  return {
    index: Number(index),
    uuid,
    name: name ?? '',
    totalBytes: Number(total) * MIB,
    freeBytes: /^\d+$/.test(free ?? '') ? Number(free) * MIB : Number(total) * MIB,
    computeCapability: /^\d+(\.\d+)?$/.test(capability ?? '') ? Number(capability) : null,
    driverVersion: driverVersion ?? '',
    migEnabled: mig?.toLowerCase() === 'enabled',
  };
}

/** Every card of the machine, in order of index. Never throws. */
export async function askNvidia(timeoutMs: number = TIMEOUT_MS): Promise<NvidiaAnswer> {
  const { output, problem } = await ask([`--query-gpu=${FIELDS}`, '--format=csv,noheader,nounits'], timeoutMs);
  const cards = output
    .split('\n')
    .map(parseCard)
    .filter((card) => card !== null)
    .sort((a, b) => a.index - b.index);
  return { cards, problem };
}

/** Total and free memory of one card now, in bytes; null if the driver does not answer. */
export async function askCardMemory(
  uuid: string,
  timeoutMs: number = TIMEOUT_MS,
): Promise<{ readonly totalBytes: number; readonly freeBytes: number } | null> {
  const { output } = await ask(
    [`--id=${uuid}`, '--query-gpu=memory.total,memory.free', '--format=csv,noheader,nounits'],
    timeoutMs,
  );
  const match = /^\s*(\d+)\s*,\s*(\d+)\s*$/m.exec(output);
  return match === null ? null : { totalBytes: Number(match[1]) * MIB, freeBytes: Number(match[2]) * MIB };
}

/** Device nodes that a CUDA process must open and this user can't; empty where all is well or the system has none. */
export function closedDeviceNodes(cards: readonly NvidiaCard[], folder = '/dev'): string[] {
  if (process.platform !== 'linux') return [];
  const nodes = ['nvidiactl', 'nvidia-uvm', ...cards.map(({ index }) => `nvidia${index}`)];
  return nodes
    .map((node) => `${folder}/${node}`)
    .filter((path) => {
      try {
        accessSync(path, constants.R_OK | constants.W_OK);
        return false;
      } catch {
        return true;
      }
    });
}
