// A gateway over a fake platform for one test, with bounds small enough to meet.

import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { createGateway } from '../../src/gateway/server.ts';
import type { GatewayOptions } from '../../src/gateway/server.ts';
import type { TensorSpec } from '../../src/tensors.ts';
import { FakePlatform } from './fake-platform.ts';
import type { FakeFunction } from './fake-platform.ts';

/** The token of every test gateway. */
export const TOKEN = 'secret-of-the-test';
/** What carries it. */
export const AUTHORIZED = { authorization: `Bearer ${TOKEN}` };

/** A gateway that the test's end closes. */
export interface TestGateway {
  readonly app: FastifyInstance;
  readonly platform: FakePlatform;
}

/** Makes a gateway that serves these functions. */
export async function gatewayWith(
  functions: readonly FakeFunction[],
  options: Partial<GatewayOptions> = {},
): Promise<TestGateway> {
  const platform = new FakePlatform(...functions);
  const log = pino({ level: 'silent' });
  const app = await createGateway(platform, { token: TOKEN, host: '127.0.0.1', log, ...options });
  onTestFinished(async () => {
    await platform.close();
    await app.close();
  });
  return { app, platform };
}

/** A tensor of a signature. */
export const spec = (name: string, datatype: TensorSpec['datatype'], shape: readonly number[]): TensorSpec => ({
  name,
  datatype,
  shape,
});

/** A function without handler whose one model gives back its input: FP32 [-1, 4], `x` to `y`. */
export const echoFunction: FakeFunction = {
  name: 'echo',
  version: 3,
  models: [{ name: 'model', inputs: [spec('x', 'FP32', [-1, 4])], outputs: [spec('y', 'FP32', [-1, 4])] }],
};

/** A body of JSON with a binary tail, and the headers that say so. */
export function binaryBody(json: object, ...tensors: readonly Uint8Array[]) {
  const head = Buffer.from(JSON.stringify(json));
  return {
    payload: Buffer.concat([head, ...tensors]),
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(head.byteLength),
    },
  };
}

/** The bytes of 32-bit floats. */
export const floats = (...values: readonly number[]): Uint8Array =>
  new Uint8Array(new Float32Array(values).buffer.slice(0));
