// Checks of the machine: Node, memory, driver, cards, what the runtime was built for, and whether a session really runs.

import { execFile } from 'node:child_process';
import { cpus } from 'node:os';
import { promisify } from 'node:util';
import { runtimeFolder } from '../../devices/cuda-libraries.ts';
import { discoverCuda, type CudaFindings } from '../../devices/discover.ts';
import { coreCount, freeMemory } from '../../devices/host-memory.ts';
import { probeDevice } from '../../devices/probe.ts';
import { resolveDevices } from '../../devices/resolve.ts';
import type { Device } from '../../devices/types.ts';
import { toGpufaasError } from '../../errors.ts';
import { memoryFolderRoom } from '../../models/memory-folder.ts';
import { formatDuration, formatSize } from '../../units.ts';
import { ok, trouble, type Check } from './check.ts';

const PROBE_LIMIT_MS = 30_000;
const RUNTIME_LIMIT_MS = 20_000;
const LITTLE_MEMORY = 1e9;

/** Node's version; older ones do not get as far as here, newer ones are not tested. */
export function checkNode(): Check {
  const tested = process.versions.node.startsWith('24.');
  const message = `${process.version} at ${process.execPath}`;
  return tested ? ok('node', message) : trouble('node', 'warning', message, 'Tested is Node 24; newer ones should do.');
}

/** Memory that models can have, and the cores that share the work. */
export function checkMemory(): Check {
  const bytes = freeMemory();
  const message = `${formatSize(bytes)} free, ${coreCount()} cores, ${cpus()[0]?.model.trim() ?? 'unknown processor'}`;
  if (bytes >= LITTLE_MEMORY) return ok('memory', message);
  return trouble('memory', 'warning', message, 'CPU devices get half of it: end other programs, or use small models.');
}

/** The runtime and the providers it was built with (which says nothing of the machine). */
export async function checkRuntime(): Promise<Check> {
  const script = `const ort = require(process.argv[1]);
    const backends = ort.listSupportedBackends().map((backend) => backend.name);
    console.log(JSON.stringify({ version: ort.env.versions.node ?? ort.env.versions.common, backends }));`;
  try {
    // In a process of its own, as always: a native library that can't be loaded may end the one that tries.
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script, runtimeFolder()], {
      timeout: RUNTIME_LIMIT_MS,
      env: { ...process.env, ORT_DISABLE_TELEMETRY: '1' },
    });
    const { version, backends } = JSON.parse(stdout) as { version: string; backends: string[] };
    return ok('runtime', `ONNX Runtime ${version}, built for ${backends.join(', ')}`);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n').at(-1)! : String(error);
    const advice = 'Install gpufaas again; on macOS with an Intel processor there is no build of it.';
    return trouble('runtime', 'problem', `ONNX Runtime can't be loaded: ${reason}`, advice);
  }
}

/** The driver and every card, each proven by a small session in a throwaway process. */
export async function checkCards(): Promise<Check[]> {
  const findings = await discoverCuda();
  const checks: Check[] = [];
  if (findings.driverProblem !== null) {
    const advice = 'Run nvidia-smi yourself; a driver that was just updated needs a restart of the machine.';
    checks.push(trouble('driver', 'problem', findings.driverProblem, advice));
  }
  if (findings.cards.length > 0)
    checks.push(...driverChecks(findings), ...findings.cards.map(cardCheck), checkHostCache());
  return checks.length > 0 ? checks : [ok('driver', 'no NVIDIA card found: models run on the CPU')];
}

/** Whether models can be kept in host memory for cards. */
function checkHostCache(): Check {
  const room = memoryFolderRoom();
  if (room === null) return ok('host cache', 'none: this system has no file system in memory');
  const message = `files in memory (/dev/shm) can take ${formatSize(room)}`;
  if (room >= LITTLE_MEMORY) return ok('host cache', message);
  return trouble('host cache', 'warning', message, 'Run the container with --shm-size, or enlarge /dev/shm.');
}

function driverChecks({ cards, closedNodes }: CudaFindings): Check[] {
  const driver = ok('driver', `NVIDIA ${cards[0]!.card.driverVersion}`);
  if (closedNodes.length === 0) return [driver];
  const advice =
    'Give this user access: usually by adding it to the group `video` or `render`; in a container by --gpus all.';
  return [driver, trouble('device nodes', 'problem', `no access to ${closedNodes.join(', ')}`, advice)];
}

function cardCheck({ card, device, problem }: CudaFindings['cards'][number]): Check {
  const size = (bytes: number | null): string => (bytes === null ? 'unknown' : formatSize(bytes));
  const memory = `${size(card.freeBytes)} of ${size(card.totalBytes)} free`;
  const name = `cuda:${card.index}`;
  if (device !== null && card.computeMode === 'exclusive') {
    const advice = 'Models are not measured on it, but estimated; `nvidia-smi -c 0` lets several processes use it.';
    return trouble(name, 'warning', `${card.name}, ${memory}, in exclusive compute mode`, advice);
  }
  if (device !== null)
    return ok(name, `${card.name}, ${memory}, a session ran; ${formatSize(device.memoryBytes)} for models`);
  const advice = /setup cuda/.test(problem ?? '')
    ? 'Run `gpufaas setup cuda`, then `gpufaas doctor` again.'
    : 'Until that is mended models run elsewhere; `--devices` chooses where.';
  return trouble(name, 'problem', `${card.name}, ${memory}: ${problem}`, advice);
}

/** Whether the devices that `up` would use can be used: one of each kind is tried. Cards were tried already. */
export async function checkDevices(spec: string | null): Promise<Check[]> {
  let devices: readonly Device[];
  try {
    devices = await resolveDevices(spec ?? 'auto');
  } catch (error) {
    const { message, suggestions } = toGpufaasError(error);
    return [trouble('devices', 'problem', message, suggestions[0] ?? 'Choose others with --devices.')];
  }
  const list = devices.map((device) => `${device.id} ${formatSize(device.memoryBytes)}`).join(', ');
  const checks = [ok('devices', `${spec ?? 'auto'}: ${list}`)];
  const kinds = new Map(devices.map((device) => [device.kind, device]));
  for (const device of kinds.values()) {
    if (device.kind === 'cuda') continue;
    const result = await probeDevice(device, PROBE_LIMIT_MS);
    checks.push(
      result.usable
        ? ok(
            device.id,
            `${device.kind === 'emulated' ? 'a worker' : 'a worker with a session'} was up after ${formatDuration(result.startMs)}`,
          )
        : trouble(
            device.id,
            'problem',
            result.reason,
            'Choose other devices with --devices, and look at the daemon log.',
          ),
    );
  }
  return checks;
}
