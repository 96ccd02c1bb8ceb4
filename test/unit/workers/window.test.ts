import { fstatSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  LEAD_BYTES,
  LEAST_PLACED_BYTES,
  PayloadWindow,
  placedBytes,
  readParts,
  SLOT_BYTES,
} from '../../../src/workers/window.ts';

const bytes = (length: number, first: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (first + index) % 251);

function open(): PayloadWindow {
  const window = PayloadWindow.open()!;
  onTestFinished(() => window.close());
  return window;
}

describe.runIf(process.platform === 'linux')('a window', () => {
  it('gives back what was placed, each part as long as it was', () => {
    const window = open();
    const parts = [bytes(100_001, 1), new Uint8Array(0), bytes(13, 7)];
    const slot = window.take(100_014)!;
    const lengths = window.write(slot, parts)!;
    expect(lengths).toEqual([100_001, 0, 13]);
    expect(window.read(slot, lengths)).toEqual(parts);
  });

  it('lets the other side read into memory that it keeps', () => {
    const window = open();
    const slot = window.take(20_000)!;
    window.write(slot, [bytes(50_000, 3)]);
    window.write(slot, [bytes(20_000, 5)]);
    const kept = new ArrayBuffer(LEAD_BYTES + placedBytes([20_000]));
    expect(readParts(window.fd, slot, [20_000], kept)).toEqual([bytes(20_000, 5)]);
  });

  it('keeps the slots apart, and has no more of them than it has', () => {
    const window = open();
    const slots: number[] = [];
    for (let slot = window.take(LEAST_PLACED_BYTES); slot !== null; slot = window.take(LEAST_PLACED_BYTES)) {
      window.write(slot, [bytes(20_000, slots.length)]);
      slots.push(slot);
    }
    expect(slots.length).toBeGreaterThan(1);
    for (const [index, slot] of slots.entries()) expect(window.read(slot, [20_000])).toEqual([bytes(20_000, index)]);
    window.give(slots[0]!);
    expect(window.take(LEAST_PLACED_BYTES)).toBe(slots[0]);
  });

  it('leaves to the frames what is too small or too large', () => {
    const window = open();
    expect(window.take(LEAST_PLACED_BYTES - 1)).toBeNull();
    expect(window.take(SLOT_BYTES + 1)).toBeNull();
    const slot = window.take(SLOT_BYTES)!;
    expect(window.write(slot, [new Uint8Array(SLOT_BYTES), new Uint8Array(1)])).toBeNull();
    expect(window.write(slot, [new Uint8Array(10)])).toBeNull();
  });

  it('has no name in the file system, and takes memory only for what was written', () => {
    const window = open();
    expect(fstatSync(window.fd).nlink).toBe(0);
    window.write(window.take(20_000)!, [bytes(20_000, 1)]);
    expect(fstatSync(window.fd).blocks * 512).toBeLessThan(100_000);
  });

  it('refuses what a worker claims to have placed and can not have, and everything once it is closed', () => {
    const window = open();
    expect(() => window.read(0, [SLOT_BYTES * 2])).toThrow(expect.objectContaining({ code: 'WORKER_DIED' }));
    window.close();
    expect(window.take(20_000)).toBeNull();
    expect(() => window.read(0, [20_000])).toThrow(expect.objectContaining({ code: 'WORKER_DIED' }));
  });
});
