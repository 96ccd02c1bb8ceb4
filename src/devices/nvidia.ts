// NVIDIA cards as nvidia-smi tells of them, always under a timeout: a driver in trouble can hang it, so that not even
// killing it ends it.

import { spawn } from 'node:child_process';

/** One card. Sizes in bytes. */
export interface NvidiaCard {
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  /** Null where the driver does not tell (cards that share the memory of the machine). */
  readonly totalBytes: number | null;
  readonly freeBytes: number | null;
  /** For example 8.6; null if the driver does not say. */
  readonly computeCapability: number | null;
  readonly driverVersion: string;
  /** Partitioned cards can't be used whole. */
  readonly migEnabled: boolean;
  /** One process may have it for itself, or none may use it for computing; then a second worker can't measure models. */
  readonly computeMode: 'default' | 'exclusive' | 'prohibited';
}

/** What asking gave: cards, or why there are none. */
export interface NvidiaAnswer {
  readonly cards: readonly NvidiaCard[];
  /** Null if the question was answered; `absent` if the program is not there; else what went wrong (for some cards perhaps). */
  readonly problem: { readonly kind: 'absent' | 'failed'; readonly message: string } | null;
}

const FIELDS = ['index', 'uuid', 'name', 'memory.total', 'memory.free', 'driver_version'] as const;
/** Not known to every driver that works: without them if it says so. */
const OPTIONAL = ['compute_cap', 'mig.mode.current', 'compute_mode'] as const;
type Field = (typeof FIELDS)[number] | (typeof OPTIONAL)[number];

const TIMEOUT_MS = 10_000;
const MIB = 2 ** 20;
const MOST_OUTPUT = 1 << 20;
const LINE_SHOWN = 200;

interface Said {
  readonly output: string;
  readonly problem: NvidiaAnswer['problem'];
}

/** Runs the program; answers within the limit even if the process can't be ended. */
function ask(parameters: readonly string[], timeoutMs: number): Promise<Said> {
  return new Promise((resolve) => {
    let output = '';
    let errors = '';
    const child = spawn('nvidia-smi', [...parameters], { stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true });
    const answer = (problem: NvidiaAnswer['problem']): void => {
      clearTimeout(timer);
      resolve({ output, problem });
    };
    const failed = (message: string): void => answer({ kind: 'failed', message });
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      child.stdout.destroy();
      child.stderr.destroy();
      // In an uninterruptible wait for the driver it stays; it must not keep this process from ending.
      child.unref();
      failed(`nvidia-smi did not answer within ${timeoutMs} ms`);
    }, timeoutMs);
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(0, MOST_OUTPUT)));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(0, MOST_OUTPUT)));
    child.on('error', (error: NodeJS.ErrnoException) => {
      // Of a search through a PATH with folders closed to us the last refusal is told, not that there is none.
      const absent = error.code === 'ENOENT' || error.code === 'EACCES';
      if (absent) answer({ kind: 'absent', message: 'nvidia-smi is not installed' });
      else failed(`nvidia-smi can not be run: ${error.message}`);
    });
    child.on('close', (code, signal) => {
      if (code === 0) return answer(null);
      const said = (errors.trim() || output.trim()).split('\n').find((line) => line.trim() !== '' && !isRow(line));
      failed(`nvidia-smi failed: ${said?.trim().slice(0, LINE_SHOWN) ?? signal ?? `exit code ${code}`}`);
    });
  });
}

/** True for a line of the table that was asked for. */
const isRow = (line: string): boolean => /^\d+, (GPU|MIG)-/.test(line.trim());

const mebibytes = (text: string | undefined): number | null => (/^\d+$/.test(text ?? '') ? Number(text) * MIB : null);

/** Reads one line of nvidia-smi's CSV; null if it is none. Fields that a driver does not tell are `[N/A]` and the like. */
function parseCard(line: string, fields: readonly Field[]): NvidiaCard | null {
  const values = line.split(',').map((value) => value.trim());
  const value = (field: Field): string | undefined => values[fields.indexOf(field)];
  const index = value('index') ?? '';
  const uuid = value('uuid') ?? '';
  if (!/^\d+$/.test(index) || !uuid.startsWith('GPU-')) return null;
  const total = mebibytes(value('memory.total'));
  const capability = value('compute_cap') ?? '';
  const mode = value('compute_mode')?.toLowerCase() ?? '';
  return {
    index: Number(index),
    uuid,
    name: value('name') ?? '',
    totalBytes: total === 0 ? null : total,
    freeBytes: mebibytes(value('memory.free')),
    computeCapability: /^\d+(\.\d+)?$/.test(capability) ? Number(capability) : null,
    driverVersion: value('driver_version') ?? '',
    migEnabled: value('mig.mode.current')?.toLowerCase() === 'enabled',
    computeMode: mode === 'prohibited' ? 'prohibited' : mode.startsWith('exclusive') ? 'exclusive' : 'default',
  };
}

/** Every card of the machine, in order of index; those that answer even if others do not. Never throws. */
export async function askNvidia(timeoutMs: number = TIMEOUT_MS): Promise<NvidiaAnswer> {
  let fields: readonly Field[] = [...FIELDS, ...OPTIONAL];
  let said = await query(fields, timeoutMs);
  // An older driver names one field it does not know and answers nothing.
  for (let unknown = unknownField(said); unknown !== null && fields.includes(unknown); unknown = unknownField(said)) {
    const without: Field = unknown;
    fields = fields.filter((field) => field !== without);
    said = await query(fields, timeoutMs);
  }
  const cards = said.output
    .split('\n')
    .map((line) => parseCard(line, fields))
    .filter((card) => card !== null)
    .sort((a, b) => a.index - b.index);
  return { cards, problem: said.problem };
}

function query(fields: readonly Field[], timeoutMs: number): Promise<Said> {
  return ask([`--query-gpu=${fields.join(',')}`, '--format=csv,noheader,nounits'], timeoutMs);
}

function unknownField({ output, problem }: Said): Field | null {
  if (problem?.kind !== 'failed') return null;
  const name = /Field "([\w.]+)" is not a valid field/.exec(`${output}\n${problem.message}`)?.[1];
  return OPTIONAL.find((field) => field === name) ?? null;
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

/**
 * The cards that CUDA_VISIBLE_DEVICES leaves to us, as a batch system or a container sets it: indices, or identities that may
 * be shortened. As with CUDA itself, what follows an entry that is none does not count. Unset: all.
 */
export function visibleCards(cards: readonly NvidiaCard[], variable: string | undefined): NvidiaCard[] {
  if (variable === undefined) return [...cards];
  const visible: NvidiaCard[] = [];
  for (const entry of variable.split(',').map((text) => text.trim())) {
    const matching = /^\d+$/.test(entry)
      ? cards.filter(({ index }) => index === Number(entry))
      : cards.filter(({ uuid }) => entry.startsWith('GPU-') && uuid.startsWith(entry));
    if (matching.length !== 1) break;
    if (!visible.includes(matching[0]!)) visible.push(matching[0]!);
  }
  return visible;
}
