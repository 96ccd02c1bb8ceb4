// Calls into the runtime that do not wait for the event loop.

import { describe, expect, it, vi } from 'vitest';
import { atOnce, InferenceSession, OrtTensor, probeModel, runsOf } from '../../../src/workers/backends/ort.ts';

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

describe('the runs of a session', () => {
  const feeds = { x: new OrtTensor('float32', new Float32Array([7]), []) };

  it('go to the native half and give what a run of the package gives', async () => {
    const session = await InferenceSession.create(probeModel());
    const expected = await session.run(feeds);
    const whole = vi.spyOn(session, 'run');
    const run = runsOf(session);
    for (let round = 0; round < 3; round++) {
      const results = await run(feeds, {});
      expect(Object.keys(results)).toEqual(Object.keys(expected));
      expect(results['y']).toMatchObject({ type: 'float32', dims: [], data: new Float32Array([7]) });
    }
    expect(whole).not.toHaveBeenCalled();
    await session.release();
  });

  it('go through the package where its native half is not where it was', async () => {
    const session = await InferenceSession.create(probeModel());
    const other = Object.create(session, { handler: { value: undefined } }) as typeof session;
    const whole = vi.spyOn(other, 'run').mockImplementation((given) => session.run(given));
    const { y } = await runsOf(other)(feeds, {});
    expect(Array.from(y!.data as Float32Array)).toEqual([7]);
    expect(whole).toHaveBeenCalledOnce();
    await session.release();
  });

  it('are refused with the error of the native half', async () => {
    const session = await InferenceSession.create(probeModel());
    const wrong = { x: new OrtTensor('int32', new Int32Array(1), []) };
    await expect(runsOf(session)(wrong, {})).rejects.toThrow(/type/i);
    await session.release();
  });
});
