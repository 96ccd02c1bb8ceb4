// The functions of a real bench: each a folder with a manifest and a model that is written for it, deployed like any other.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GpufaasClient } from '../../client/client.ts';
import { packageStream, preparePackage, sampleOf } from '../../client/pack.ts';
import { readFileSync } from 'node:fs';
import { GpufaasError } from '../../errors.ts';
import { buildNetwork } from '../../onnx/networks.ts';
import { OnnxModel } from '../../onnx/write.ts';
import { sampleInput } from '../http/sample-input.ts';
import type { SampleInput } from '../http/sample-input.ts';

/** Folders or ONNX files to deploy, in the order of the workload's models. */
export interface BenchFunctions {
  readonly paths: readonly string[];
  /** Removes what was written. */
  remove(): void;
}

/** A function that is deployed: where to call it, with what, and the models it brought. */
export interface DeployedFunction {
  readonly name: string;
  readonly input: SampleInput;
  readonly sha256: string;
  readonly bytes: number;
}

/** Long enough for the queues of an overloaded policy. */
const MANIFEST_LIMITS = 'timeout: 24h\nconcurrency: 1024\nkeepAlive: 30d\n';

/** One function for each model of an emulated working set: its file says nothing, its profile comes from the bench. */
export function writeEmulatedFunctions(count: number): BenchFunctions {
  return write(count, (index) => {
    const model = new OnnxModel({ name: `emulated-${index}`, metadata: { number: String(index) } });
    model.input('x', 'FP32', ['batch', 4]);
    model.output('y', 'FP32', ['batch', 4]);
    return model.node('Relu', ['x'], ['y']).encode();
  });
}

/** Real networks with seeded weights, in these sizes (megabytes). The same on any machine. */
export function writeSeededCnns(megabytes: readonly number[]): BenchFunctions {
  return write(megabytes.length, (index) => {
    return buildNetwork({ kind: 'cnn', megabytes: megabytes[index]!, seed: index + 1 }).encode();
  });
}

function write(count: number, model: (index: number) => Uint8Array): BenchFunctions {
  const root = mkdtempSync(join(tmpdir(), 'gpufaas-bench-models-'));
  const paths = Array.from({ length: count }, (_, index) => {
    const folder = join(root, `f${index}`);
    mkdirSync(folder);
    writeFileSync(join(folder, 'model.onnx'), model(index));
    writeFileSync(
      join(folder, 'function.yaml'),
      `name: f${index}\nmodels:\n  model: { path: model.onnx }\n${MANIFEST_LIMITS}`,
    );
    return folder;
  });
  return { paths, remove: () => rmSync(root, { recursive: true, force: true }) };
}

/** Deploys them one after the other. Throws what the deployment threw; USAGE for one that has several models. */
export async function deployAll(
  client: GpufaasClient,
  paths: readonly string[],
  onStep: (message: string) => void,
): Promise<DeployedFunction[]> {
  const deployed: DeployedFunction[] = [];
  for (const [index, path] of paths.entries()) {
    const packed = await preparePackage(path);
    let name: string | undefined;
    for await (const step of client.deploy(await packageStream(packed))) {
      if (step.type === 'step') onStep(`Function ${index + 1} of ${paths.length}: ${step.message}`);
      else name = step.result.name;
    }
    if (name === undefined) throw new GpufaasError('DEPLOY_FAILED', `${path} was not deployed.`);
    const detail = await client.function(name);
    const [model, another] = detail.modelDetails;
    if (model === undefined || another !== undefined)
      throw new GpufaasError(
        'USAGE',
        `${name} has ${detail.modelDetails.length} models; a live bench takes functions with one.`,
      );
    const sample = sampleOf(packed);
    const input =
      sample === null
        ? sampleInput(detail)
        : { headers: { 'content-type': 'application/octet-stream' }, body: readFileSync(sample) };
    deployed.push({ name, input, sha256: model.sha256, bytes: model.memoryBytes });
  }
  return deployed;
}
