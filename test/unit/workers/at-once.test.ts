// Calls into the runtime that do not wait for the event loop.

import { describe, expect, it } from 'vitest';
import { atOnce, InferenceSession, OrtTensor, probeModel } from '../../../src/workers/backends/ort.ts';

describe('calling the runtime at once', () => {
  it('has the run behind it before the next turn of the event loop', async () => {
    const session = await InferenceSession.create(probeModel());
    const feeds = { x: new OrtTensor('float32', new Float32Array([7]), []) };
    const order: string[] = [];
    const turn = new Promise<void>((resolve) => {
      setImmediate(() => {
        order.push('turn');
        resolve();
      });
    });
    const { y } = await atOnce(() => session.run(feeds));
    order.push('run');
    await turn;
    expect(order).toEqual(['run', 'turn']);
    expect(Array.from(y!.data as Float32Array)).toEqual([7]);
    await session.release();
  });

  it('leaves setImmediate as it was, also after an error', () => {
    const { setImmediate: before } = globalThis;
    expect(() =>
      atOnce(() => {
        expect(globalThis.setImmediate).not.toBe(before);
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(globalThis.setImmediate).toBe(before);
  });
});
