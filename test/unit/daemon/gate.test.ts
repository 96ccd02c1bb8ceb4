import { describe, expect, it } from 'vitest';
import { Gate } from '../../../src/daemon/gate.ts';

const never = new AbortController().signal;

describe('a gate', () => {
  it('lets in as many as its limit and the next one when somebody leaves', async () => {
    const gate = new Gate(1, 1);
    await gate.enter(never);
    let entered = false;
    const second = gate.enter(never).then(() => (entered = true));
    await Promise.resolve();
    expect(entered).toBe(false);
    gate.leave();
    await second;
    expect(gate.underWay).toBe(1);
    gate.leave();
    expect(gate.underWay).toBe(0);
  });

  it('refuses whoever finds too many waiting', async () => {
    const gate = new Gate(1, 0);
    await gate.enter(never);
    await expect(gate.enter(never)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  });

  it('forgets who gave up waiting', async () => {
    const gate = new Gate(1, 2);
    await gate.enter(never);
    const controller = new AbortController();
    const waiting = gate.enter(controller.signal);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(gate.underWay).toBe(1);
  });
});
