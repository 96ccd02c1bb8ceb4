import { describe, expect, it } from 'vitest';
import { freeBuffer, freeChunk } from '../../src/free-buffer.ts';

describe('freeing a buffer', () => {
  it('leaves nothing under any view of it, and can be done twice', () => {
    const buffer = new ArrayBuffer(100_000);
    const view = new Uint8Array(buffer, 8, 16);
    freeBuffer(view);
    freeBuffer(view);
    expect(view.byteLength).toBe(0);
  });

  it('spares a chunk that shares its buffer, and a small one', () => {
    const shared = new Uint8Array(new ArrayBuffer(100_000), 0, 50_000);
    const small = Buffer.from('small');
    freeChunk(shared);
    freeChunk(small);
    expect(shared.byteLength).toBe(50_000);
    expect(small.toString()).toBe('small');
  });

  it('leaves a small one to the collector', () => {
    const small = new Uint8Array(1000);
    freeBuffer(small);
    expect(small.byteLength).toBe(1000);
  });

  it('frees a chunk that has its buffer to itself', () => {
    const chunk = Buffer.allocUnsafeSlow(65_536);
    freeChunk(chunk);
    expect(chunk.byteLength).toBe(0);
  });
});
