import { describe, expect, it } from 'vitest';
import { Pins } from '../../../src/daemon/pins.ts';
import { GpufaasError } from '../../../src/errors.ts';

/** Pins over a catalog and a store of one function, `fn`. */
function setUp(pinned = false) {
  const state = { deployed: true, memory: pinned, stored: pinned };
  const need = (): never => {
    if (!state.deployed) throw new GpufaasError('FUNCTION_NOT_FOUND', 'gone');
    return undefined as never;
  };
  const pins = new Pins(
    {
      get: () => (state.deployed ? ({} as never) : undefined),
      need,
      isPinned: () => state.memory,
      setPinned: (_, to) => {
        need();
        state.memory = to;
      },
    },
    { setPinned: (_, to) => void (state.stored = to) },
  );
  return { pins, state };
}

describe('a pin', () => {
  it('holds in memory during the load, and for good once it is done', async () => {
    const { pins, state } = setUp();
    const load = Promise.withResolvers<void>();
    const pinned = pins.pin('fn', () => load.promise);
    expect(state).toMatchObject({ memory: true, stored: false });
    load.resolve();
    await pinned;
    expect(state).toMatchObject({ memory: true, stored: true });
    pins.unpin('fn');
    expect(state).toMatchObject({ memory: false, stored: false });
  });

  it.each([
    ['was not pinned is not', false],
    ['was pinned stays so', true],
  ])('that fails leaves things as they were: what %s', async (_, before) => {
    const { pins, state } = setUp(before);
    await expect(pins.pin('fn', () => Promise.reject(new Error('no room')))).rejects.toThrow('no room');
    expect(state).toMatchObject({ memory: before, stored: before });
  });

  it('that is given up does not undo another one of the same function', async () => {
    const { pins, state } = setUp();
    const first = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();
    const givenUp = pins.pin('fn', () => first.promise);
    const goesOn = pins.pin('fn', () => second.promise);
    first.reject(new Error('given up'));
    await expect(givenUp).rejects.toThrow('given up');
    expect(state).toMatchObject({ memory: true, stored: false });
    second.resolve();
    await goesOn;
    expect(state).toMatchObject({ memory: true, stored: true });
  });

  it('gives way to an unpin that comes while it loads', async () => {
    const { pins, state } = setUp();
    const load = Promise.withResolvers<void>();
    const pinned = pins.pin('fn', () => load.promise);
    pins.unpin('fn');
    load.resolve();
    await expect(pinned).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(state).toMatchObject({ memory: false, stored: false });
  });

  it('ends with its function', async () => {
    const { pins, state } = setUp();
    const load = Promise.withResolvers<void>();
    const pinned = pins.pin('fn', () => load.promise);
    Object.assign(state, { deployed: false, memory: false });
    load.resolve();
    await expect(pinned).rejects.toMatchObject({ code: 'FUNCTION_NOT_FOUND' });
    expect(state).toMatchObject({ memory: false, stored: false });
  });
});
