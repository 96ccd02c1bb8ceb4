// Fetches ONNX Runtime's CUDA libraries with the runtime package's own install script: they are about 300 MB and not in
// the npm package.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { GpufaasError } from '../errors.ts';
import { cudaInstalled, cudaSupported, runtimeFolder } from './cuda-libraries.ts';

/** How to install; the folder and the platform are the machine's own but in tests. */
export interface InstallOptions {
  readonly folder?: string;
  readonly supported?: boolean;
  /** Install again although the libraries are there. */
  readonly force?: boolean;
  readonly signal?: AbortSignal;
  readonly limitMs?: number;
}

const LIMIT_MS = 30 * 60_000;
const OUTPUT_KEPT = 8_192;
// Codes of Node's own network errors, which the script prints with its failure, and what it says itself of an answer that is
// none. A download that breaks early it hides behind the removal of a file that is not there yet.
const NETWORK =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|EPROTO|CERT_\w+|\w*SELF_SIGNED_CERT\w*|UNABLE_TO_\w+|HTTP status code|socket hang up|unexpected content type|Failed to download Nuget index|Failed to open NuGet package)\b|ENOENT.*unlink .*\.nupkg/;

/**
 * Installs the libraries beside the runtime; gives false if they were there already. Throws NOT_IMPLEMENTED (there are none
 * for this platform), UNREACHABLE, DISK_FULL, TIMEOUT, CANCELLED, NO_DEVICE (anything else).
 */
export async function installCuda(options: InstallOptions = {}): Promise<boolean> {
  const folder = options.folder ?? runtimeFolder();
  if (!(options.supported ?? cudaSupported())) {
    throw new GpufaasError(
      'NOT_IMPLEMENTED',
      `ONNX Runtime has no CUDA libraries for ${process.platform} on ${process.arch}.`,
      {
        suggestions: [
          'CUDA needs Linux on x86-64. Here, use --devices cpu, or webgpu, dml or coreml where the platform has them.',
        ],
      },
    );
  }
  if (options.force !== true && cudaInstalled(folder)) return false;
  const script = join(folder, 'script', 'install.js');
  if (!existsSync(script)) {
    throw new GpufaasError('NO_DEVICE', 'The installed onnxruntime-node package has no install script.', {
      suggestions: ['Install gpufaas again.'],
    });
  }
  const { output, code } = await runScript(script, options);
  if (options.signal?.aborted === true) throw new GpufaasError('CANCELLED', 'The installation was given up.');
  if (code === 'timeout')
    throw new GpufaasError('TIMEOUT', 'The download of the CUDA libraries took too long.', {
      suggestions: ['Try again.'],
    });
  if (code !== 0) throw failureOf(output);
  if (!cudaInstalled(folder))
    throw new GpufaasError('NO_DEVICE', 'The install script ended well, but the CUDA libraries are not there.');
  return true;
}

/** The script knows proxies under names of its own only. */
function proxyVariables(environment: NodeJS.ProcessEnv): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY']) {
    const value = environment[name] || environment[name.toLowerCase()];
    if (value && !environment[`GLOBAL_AGENT_${name}`]) variables[`GLOBAL_AGENT_${name}`] = value;
  }
  return variables;
}

function runScript(
  script: string,
  { signal, limitMs }: InstallOptions,
): Promise<{ readonly output: string; readonly code: number | 'timeout' }> {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(process.execPath, [script], {
      env: { ...process.env, ...proxyVariables(process.env), ONNXRUNTIME_NODE_INSTALL: 'cuda12' },
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
    });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, limitMs ?? LIMIT_MS);
    const cancel = (): void => void child.kill('SIGKILL');
    signal?.addEventListener('abort', cancel, { once: true });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-OUTPUT_KEPT)));
    }
    const finish = (code: number | 'timeout'): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
      resolve({ output, code });
    };
    child.on('error', () => finish(1));
    child.on('close', (code) => finish(late ? 'timeout' : (code ?? 1)));
  });
}

function failureOf(output: string): GpufaasError {
  if (NETWORK.test(output)) {
    return new GpufaasError('UNREACHABLE', 'The server of the CUDA libraries can not be reached.', {
      suggestions: [
        'Try again with a network that reaches api.nuget.org; HTTPS_PROXY names a proxy.',
        'On a machine without network, copy node_modules/onnxruntime-node/bin from one where this command succeeded.',
      ],
    });
  }
  if (/\b(EACCES|EPERM|EROFS)\b/.test(output)) {
    return new GpufaasError(
      'NO_DEVICE',
      'The folder of the installed onnxruntime-node package can not be written to.',
      {
        suggestions: ['Run the command as the user who installed gpufaas (for a global install perhaps with sudo).'],
      },
    );
  }
  if (/\bENOSPC\b/.test(output)) {
    return new GpufaasError('DISK_FULL', 'There is not enough room for the CUDA libraries.', {
      suggestions: ['They need about 1 GB while they are installed, half of it where TMPDIR says.'],
    });
  }
  const line =
    output
      .split('\n')
      .find((text) => /error/i.test(text))
      ?.trim()
      .slice(0, 200) ?? '';
  return new GpufaasError('NO_DEVICE', `The CUDA libraries could not be installed${line === '' ? '' : `: ${line}`}.`, {
    suggestions: ['Run the command again; if it fails again, report it with this message.'],
  });
}
