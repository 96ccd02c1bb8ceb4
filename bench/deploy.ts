// Deploys a bare ONNX file through the client, as the command line does.

import { readFileSync } from 'node:fs';
import type { DeployResult } from '../src/api/schemas.ts';
import { GpufaasClient } from '../src/client/client.ts';
import { packageStream, preparePackage } from '../src/client/pack.ts';
import type { Home } from '../src/home.ts';

/** Deploys a folder or an ONNX file and resolves with the daemon's result. */
export async function deployModel(url: string, home: Home, path: string, name?: string): Promise<DeployResult> {
  const client = new GpufaasClient({ url, token: readFileSync(home.token, 'utf8').trim() });
  const archive = await packageStream(await preparePackage(path, name));
  for await (const step of client.deploy(archive)) if (step.type === 'done') return step.result;
  throw new Error('The deployment ended without a result.');
}
