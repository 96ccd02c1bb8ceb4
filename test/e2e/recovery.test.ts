// What a killed daemon, a killed worker and a device that goes leave behind: nothing but what was there before.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { crashRounds } from '../../bench/soak/crash-rounds.ts';
import { routes } from '../../src/api/routes.ts';
import { TestDaemon, childrenOf } from '../helpers/daemon.ts';
import { tinyModel } from '../helpers/models.ts';

const TENSORS = JSON.stringify({
  inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }],
});

function modelFile(daemon: TestDaemon, name: string, seed: number): string {
  const path = join(daemon.folder, `${name}.onnx`);
  writeFileSync(path, tinyModel(seed).bytes);
  return path;
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe.skipIf(process.platform !== 'linux')('a daemon killed in the midst of deploy, rm and load', () => {
  it('is consistent when it is up again, and leaves nothing behind', { timeout: 240_000 }, async () => {
    expect(await crashRounds({ rounds: 5, seed: Date.now() % 1000 })).toEqual([]);
  });
});

describe('after a restart', () => {
  it('the most valuable models are resident again without a call', { timeout: 120_000 }, async () => {
    const daemon = await new TestDaemon('cpu:1@1GB').start();
    onTestFinished(() => daemon.close());
    let bytes = 0;
    for (const [index, name] of ['seldom', 'often', 'sometimes'].entries()) {
      const { models } = await daemon.deploy(modelFile(daemon, name, index + 1), name);
      bytes = Math.max(bytes, models[0]!.memoryBytes);
    }
    for (const [name, calls] of Object.entries({ seldom: 1, often: 9, sometimes: 4 })) {
      for (let i = 0; i < calls; i++)
        expect((await daemon.send('POST', `/function/${name}`, TENSORS)).status).toBe(200);
    }
    const children = childrenOf(daemon.pid);
    // The list is written every five seconds; a kill may cost what came since.
    await sleep(6_000);
    await daemon.end('SIGKILL');
    await expect.poll(() => children.filter(alive)).toEqual([]);
    // Room for two of the three, however differently they were measured.
    const smaller = new TestDaemon(`cpu:1@${Math.ceil((bytes * 2.1) / 1e6)}MB`, daemon.folder);
    await smaller.start();
    onTestFinished(() => smaller.end());
    const resident = async (): Promise<string[]> =>
      (await smaller.client.ps()).devices.flatMap((device) =>
        device.resident.filter(({ state }) => state !== 'loading').map(({ model }) => model),
      );
    await expect.poll(async () => (await resident()).toSorted()).toEqual(['often', 'sometimes']);
    const answer = await smaller.send('POST', '/function/often', TENSORS);
    expect(answer.headers['x-gpufaas-cache']).toBe('hit');
  });
});

describe('with requests going on', () => {
  const daemon = new TestDaemon('emulated:2@1GB');
  beforeAll(async () => {
    await daemon.start();
    await daemon.deploy(modelFile(daemon, 'tiny', 1), 'tiny');
  });
  afterAll(() => daemon.close());

  /** Calls until told to stop; gives the statuses that were not 200. */
  function callers(count: number): { stop: () => Promise<{ calls: number; failures: string[] }> } {
    let running = true;
    let calls = 0;
    const failures: string[] = [];
    const work = Array.from({ length: count }, async () => {
      while (running) {
        const { status, json } = await daemon.send('POST', '/function/tiny', TENSORS);
        calls++;
        if (status !== 200) failures.push(`${status} ${json!.code}`);
      }
    });
    return {
      stop: async () => {
        running = false;
        await Promise.all(work);
        return { calls, failures };
      },
    };
  }

  const states = async (): Promise<string[]> => (await daemon.client.devices()).map(({ state }) => state);
  const act = (id: string, action: 'plug' | 'unplug') =>
    daemon.send('POST', routes.deviceAction(id, action), '', { authorization: `Bearer ${daemon.token}` });

  it('a device may be unplugged and plugged in again: every call is answered', { timeout: 60_000 }, async () => {
    const load = callers(4);
    for (const id of ['emulated:0', 'emulated:1', 'emulated:0']) {
      await sleep(300);
      expect((await act(id, 'unplug')).json).toMatchObject({ id, state: 'unplugged' });
      await sleep(300);
      expect((await act(id, 'plug')).json).toMatchObject({ id, state: 'ready' });
    }
    const { calls, failures } = await load.stop();
    expect(failures).toEqual([]);
    expect(calls).toBeGreaterThan(20);
    expect(await states()).toEqual(['ready', 'ready']);
  });

  it('without any device calls wait or are told so, and go on when one is back', { timeout: 60_000 }, async () => {
    for (const id of ['emulated:0', 'emulated:1']) await act(id, 'unplug');
    expect((await daemon.send('GET', '/readyz')).status).toBe(503);
    expect((await daemon.client.status()).status).toBe('unavailable');
    await expect(daemon.client.load('tiny')).rejects.toMatchObject({ code: 'NO_DEVICE', exitCode: 5 });
    const waiting = daemon.send('POST', '/function/tiny', TENSORS);
    await sleep(200);
    for (const id of ['emulated:0', 'emulated:1']) await act(id, 'plug');
    expect([200, 503]).toContain((await waiting).status);
    expect((await daemon.send('POST', '/function/tiny', TENSORS)).status).toBe(200);
  });

  it(
    'a worker that is stopped is seen by its heartbeat, ended, and its work done elsewhere',
    { timeout: 60_000 },
    async () => {
      const victim = (await daemon.client.devices())[0]!.pid!;
      const load = callers(4);
      process.kill(victim, 'SIGSTOP');
      const sinceMs = performance.now();
      await expect.poll(async () => (await daemon.client.devices())[0]!.pid, { timeout: 30_000 }).not.toBe(victim);
      expect(performance.now() - sinceMs).toBeLessThan(25_000);
      const { failures } = await load.stop();
      expect(failures).toEqual([]);
      expect(alive(victim)).toBe(false);
      await expect.poll(states).toEqual(['ready', 'ready']);
    },
  );

  it('a worker that is killed costs no answer', { timeout: 60_000 }, async () => {
    const load = callers(4);
    for (const turn of [0, 1]) {
      await sleep(1_000);
      process.kill((await daemon.client.devices())[turn]!.pid!, 'SIGKILL');
    }
    await sleep(1_000);
    const { failures } = await load.stop();
    expect(failures).toEqual([]);
    await expect.poll(states).toEqual(['ready', 'ready']);
  });
});
