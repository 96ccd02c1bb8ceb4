// Deploys through the client, as the command line does.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DeployResult } from '../src/api/schemas.ts';
import { GpufaasClient } from '../src/client/client.ts';
import { packageStream, preparePackage } from '../src/client/pack.ts';
import type { Home } from '../src/home.ts';

/** A folder for a function without handler: one model, and these lines in its function.yaml. */
export function functionFolder(parent: string, name: string, onnx: Uint8Array, more = ''): string {
  const folder = join(parent, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'model.onnx'), onnx);
  writeFileSync(join(folder, 'function.yaml'), `name: ${name}\nmodels:\n  m: { path: model.onnx }\n${more}`);
  return folder;
}

/** Deploys a folder or an ONNX file and resolves with the daemon's result. */
export async function deployModel(url: string, home: Home, path: string, name?: string): Promise<DeployResult> {
  const client = new GpufaasClient({ url, token: readFileSync(home.token, 'utf8').trim() });
  const archive = await packageStream(await preparePackage(path, name));
  for await (const step of client.deploy(archive)) if (step.type === 'done') return step.result;
  throw new Error('The deployment ended without a result.');
}
