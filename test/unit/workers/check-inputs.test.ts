// Wrong tensors are refused with the input's name, what was expected and what came.

import { describe, expect, it } from 'vitest';
import type { GpufaasError } from '../../../src/errors.ts';
import type { Datatype, Tensor } from '../../../src/tensors.ts';
import { checkInputs, InputChecks, type InputSpec } from '../../../src/workers/check-inputs.ts';

const SPECS: readonly InputSpec[] = [
  { name: 'image', datatype: 'FP32', shape: [-1, 3, 2] },
  { name: 'mask', datatype: 'BOOL', shape: [2] },
];
const image: Tensor = { name: 'image', datatype: 'FP32', shape: [1, 3, 2], data: new Uint8Array(24) };
const mask: Tensor = { name: 'mask', datatype: 'BOOL', shape: [2], data: new Uint8Array(2) };

function messageFor(inputs: readonly Tensor[], specs = SPECS): string {
  try {
    checkInputs(specs, inputs);
    return 'accepted';
  } catch (error) {
    return `${(error as GpufaasError).code}: ${(error as GpufaasError).message}`;
  }
}

const bytes = (...elements: readonly (readonly number[])[]): Uint8Array =>
  Uint8Array.from(elements.flatMap((element) => [element.length, 0, 0, 0, ...element]));

describe('inputs of a model', () => {
  it('that fit are accepted, in any order, with any size of a free dimension', () => {
    expect(messageFor([mask, image])).toBe('accepted');
    expect(messageFor([{ ...image, shape: [5, 3, 2], data: new Uint8Array(120) }, mask])).toBe('accepted');
    expect(messageFor([{ ...image, shape: [0, 3, 2], data: new Uint8Array(0) }, mask])).toBe('accepted');
    expect(messageFor([])).toMatch(/"image" is missing/);
    expect(messageFor([], [])).toBe('accepted');
  });

  it.each([
    ['an unknown name', [image, mask, { ...mask, name: 'masks' }], /no input "masks"/],
    ['a missing one', [image], /"mask" is missing: BOOL of shape \[2\]/],
    ['one given twice', [image, image, mask], /"image" was given twice/],
    ['another datatype', [{ ...image, datatype: 'FP64' as const }, mask], /"image" must be FP32, but "FP64" came/],
    [
      'a datatype that does not exist',
      [{ ...image, datatype: 'FP8' as Datatype }, mask],
      /"image" must be FP32, but "FP8" came/,
    ],
    [
      'another rank',
      [{ ...image, shape: [3, 2] }, mask],
      /must have 3 dimensions, \[-1, 3, 2\] \(-1 is free\), but \[3, 2\] came/,
    ],
    ['another dimension', [{ ...image, shape: [1, 4, 2] }, mask], /dimension 1 is 4 instead of 3/],
    ['a negative dimension', [{ ...image, shape: [-1, 3, 2] }, mask], /whole numbers from 0/],
    ['a broken dimension', [{ ...image, shape: [1.5, 3, 2] }, mask], /whole numbers from 0/],
    ['too few bytes', [{ ...image, data: new Uint8Array(20) }, mask], /needs 24 bytes, but 20 came/],
    [
      'too many bytes',
      [image, { ...mask, data: new Uint8Array(3) }],
      /"mask" of shape \[2\] in BOOL needs 2 bytes, but 3 came/,
    ],
  ])('with %s are refused', (_, inputs, message) => {
    expect(messageFor(inputs)).toMatch(message);
    expect(messageFor(inputs)).toMatch(/^BAD_TENSOR: [^\n]+$/);
  });

  it('of strings are counted', () => {
    const specs: InputSpec[] = [{ name: 's', datatype: 'BYTES', shape: [-1] }];
    const text = (count: number, data: Uint8Array): Tensor => ({ name: 's', datatype: 'BYTES', shape: [count], data });
    expect(messageFor([text(2, bytes([1, 2], []))], specs)).toBe('accepted');
    expect(messageFor([text(3, bytes([1, 2], []))], specs)).toMatch(
      /needs 3 BYTES elements.*2 whole ones came in 10 bytes/,
    );
    expect(messageFor([text(1, bytes([1, 2]).subarray(0, 5))], specs)).toMatch(/0 whole ones/);
    expect(messageFor([text(1, new Uint8Array([255, 255, 255, 255]))], specs)).toMatch(/0 whole ones/);
  });

  it('of any rank are taken where the model leaves it open', () => {
    const specs: InputSpec[] = [{ name: 'image', datatype: 'FP32', shape: [-1], anyRank: true }];
    expect(messageFor([image], specs)).toBe('accepted');
  });

  it('name long things shortly', () => {
    expect(messageFor([{ ...image, name: 'x'.repeat(10_000) }]).length).toBeLessThan(200);
  });
});

describe('inputs that come again', () => {
  it('are accepted, and whatever differs from the last time is looked at', () => {
    const checks = new InputChecks(SPECS);
    for (let i = 0; i < 3; i++) checks.check([{ ...image, data: new Uint8Array(24).fill(i) }, { ...mask }]);
    const wrong: readonly (readonly [readonly Tensor[], RegExp])[] = [
      [[{ ...image, data: new Uint8Array(23) }, mask], /needs 24 bytes, but 23 came/],
      [[{ ...image, shape: [1, 3, 3] }, mask], /must have the shape/],
      [[{ ...image, datatype: 'FP64' }, mask], /must be FP32/],
      [[image, { ...mask, name: 'masks' }], /no input "masks"/],
      [[image], /"mask" is missing/],
      [[image, mask, mask], /given twice/],
    ];
    for (const [inputs, message] of wrong) {
      expect(() => checks.check(inputs)).toThrow(message);
      expect(() => checks.check(inputs)).toThrow(message);
      checks.check([image, mask]);
    }
    checks.check([{ ...image, shape: [2, 3, 2], data: new Uint8Array(48) }, mask]);
  });

  it('are looked at each time if they are strings: what is wrong with those lies in their bytes', () => {
    const checks = new InputChecks([{ name: 't', datatype: 'BYTES', shape: [-1] }]);
    const text: Tensor = { name: 't', datatype: 'BYTES', shape: [1], data: bytes([7, 7]) };
    checks.check([text]);
    const broken = { ...text, data: Uint8Array.from(text.data, (byte, index) => (index === 0 ? 9 : byte)) };
    expect(() => checks.check([broken])).toThrow(/needs 1 BYTES elements/);
  });
});
