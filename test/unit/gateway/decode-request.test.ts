// Decoding of inference requests: what is taken, and that everything else is refused with words that help.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import { decodeRequest } from '../../../src/gateway/open-inference/request.ts';
import type { Signature } from '../../../src/gateway/open-inference/types.ts';
import type { Datatype } from '../../../src/tensors.ts';
import { binaryBody, floats, spec } from '../../helpers/gateway.ts';

const signature: Signature = {
  inputs: [spec('x', 'FP32', [-1, 2])],
  outputs: [spec('y', 'FP32', [-1, 2]), spec('z', 'FP32', [1])],
};
const body = (json: unknown): Uint8Array => Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
const x = (more: object): object => ({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], ...more }] });
const one = (datatype: Datatype, shape: readonly number[] = [-1]): Signature => ({
  inputs: [spec('x', datatype, shape)],
  outputs: [],
});
const input = (datatype: string, data: readonly unknown[]): Uint8Array =>
  body({ inputs: [{ name: 'x', datatype, shape: [data.length], data }] });

function refusal(run: () => unknown): GpufaasError {
  try {
    run();
  } catch (error) {
    if (error instanceof GpufaasError) return error;
    throw error;
  }
  throw new Error('was not refused');
}

describe('JSON tensors', () => {
  test('flat data and nested rows give the same bytes', () => {
    const flat = decodeRequest(body(x({ shape: [2, 2], data: [1, 2, 3, 4] })), null, signature);
    const nested = decodeRequest(
      body(
        x({
          shape: [2, 2],
          data: [
            [1, 2],
            [3, 4],
          ],
        }),
      ),
      null,
      signature,
    );
    expect(flat.inputs[0]!.data).toEqual(floats(1, 2, 3, 4));
    expect(nested.inputs).toEqual(flat.inputs);
  });

  test('every number type holds its extremes', () => {
    const extremes: readonly [Datatype, readonly number[], ArrayBufferView][] = [
      ['UINT8', [0, 255], Uint8Array.of(0, 255)],
      ['INT8', [-128, 127], Int8Array.of(-128, 127)],
      ['UINT16', [0, 65_535], Uint16Array.of(0, 65_535)],
      ['INT16', [-32_768, 32_767], Int16Array.of(-32_768, 32_767)],
      ['UINT32', [0, 2 ** 32 - 1], Uint32Array.of(0, 2 ** 32 - 1)],
      ['INT32', [-(2 ** 31), 2 ** 31 - 1], Int32Array.of(-(2 ** 31), 2 ** 31 - 1)],
      ['FP64', [1e300, -0.1], Float64Array.of(1e300, -0.1)],
    ];
    for (const [datatype, data, expected] of extremes) {
      const { inputs } = decodeRequest(input(datatype, data), null, one(datatype));
      expect(Buffer.from(inputs[0]!.data)).toEqual(
        Buffer.from(expected.buffer, expected.byteOffset, expected.byteLength),
      );
    }
  });

  test('64-bit integers keep every digit, also beyond what a double holds', () => {
    const text =
      '{"inputs":[{"name":"x","datatype":"INT64","shape":[3],"data":[-9223372036854775808,9007199254740993,5]}]}';
    const { inputs } = decodeRequest(body(text), null, one('INT64'));
    const values = new BigInt64Array(inputs[0]!.data.slice().buffer);
    expect([...values]).toEqual([-9223372036854775808n, 9007199254740993n, 5n]);
    const unsigned = text.replace('INT64', 'UINT64').replace('-9223372036854775808', '18446744073709551615');
    const decoded = decodeRequest(body(unsigned), null, one('UINT64'));
    expect(new BigUint64Array(decoded.inputs[0]!.data.slice().buffer)[0]).toBe(18446744073709551615n);
  });

  test('an integer that is written with an exponent beyond 2^53 is refused', () => {
    expect(refusal(() => decodeRequest(input('INT64', [1e300]), null, one('INT64'))).message).toContain('2^53');
  });

  test('strings become length-prefixed bytes, booleans single ones', () => {
    const text = decodeRequest(input('BYTES', ['é', '']), null, one('BYTES')).inputs[0]!;
    expect([...text.data]).toEqual([2, 0, 0, 0, 0xc3, 0xa9, 0, 0, 0, 0]);
    const flags = decodeRequest(input('BOOL', [true, false, 1, 0]), null, one('BOOL')).inputs[0]!;
    expect([...flags.data]).toEqual([1, 0, 1, 0]);
  });

  test('a scalar has an empty shape and one element', () => {
    const json = { inputs: [{ name: 'x', datatype: 'FP32', shape: [], data: [7] }] };
    expect(decodeRequest(body(json), null, one('FP32', [])).inputs[0]!.data).toEqual(floats(7));
  });

  test('inputs come in the order of the signature, whatever the order of the request', () => {
    const two: Signature = { inputs: [spec('a', 'INT8', [1]), spec('b', 'INT8', [1])], outputs: [] };
    const json = ['b', 'a'].map((name, index) => ({ name, datatype: 'INT8', shape: [1], data: [index] }));
    expect(decodeRequest(body({ inputs: json }), null, two).inputs.map((each) => each.data[0])).toEqual([1, 0]);
  });

  test.each<[string, Datatype, unknown]>([
    ['a fraction', 'INT32', 1.5],
    ['too large a value', 'UINT8', 256],
    ['a negative value', 'UINT16', -1],
    ['a negative value', 'UINT64', -1],
    ['a value beyond 32-bit floats', 'FP32', 1e39],
    ['a string', 'FP32', '1'],
    ['null', 'FP64', null],
    ['a number', 'BYTES', 5],
    ['two', 'BOOL', 2],
    ['a row in flat data', 'INT8', [1]],
  ])('%s is no %s', (_what, datatype, value) => {
    const good = datatype === 'BYTES' ? 'a' : datatype === 'BOOL' ? true : 1;
    const error = refusal(() => decodeRequest(input(datatype, [good, value]), null, one(datatype)));
    expect(error.code).toBe('BAD_TENSOR');
    expect(error.message).toContain('element 1');
  });

  test('half floats have no JSON form, and the answer says what to do', () => {
    for (const datatype of ['FP16', 'BF16'] as const) {
      const error = refusal(() => decodeRequest(input(datatype, [1]), null, one(datatype)));
      expect(error.message).toContain('no JSON form');
      expect(error.suggestions[0]).toContain('binary');
    }
  });
});

describe('refusals', () => {
  test.each<[string, unknown, string]>([
    [
      'an unknown input',
      { inputs: [{ name: 'q', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] },
      '"x" (FP32 [-1,2])',
    ],
    ['a wrong rank', x({ shape: [2], data: [1, 2] }), '2 dimensions'],
    ['a wrong dimension', x({ shape: [1, 3], data: [1, 2, 3] }), 'dimension 1 must be 2, not 3'],
    ['a wrong datatype', x({ datatype: 'INT8', data: [1, 2] }), 'must be FP32'],
    ['a missing input', { inputs: [] }, '"x" (FP32 [-1,2]) is missing'],
    ['too few elements', x({ data: [1] }), 'needs 2 elements; "data" has 1'],
    ['rows that do not fit the shape', x({ shape: [2, 2], data: [[1, 2], [3]] }), 'axis 1'],
    [
      'a row too many',
      x({
        shape: [1, 2],
        data: [
          [1, 2],
          [3, 4],
        ],
      }),
      'axis 0',
    ],
    ['a fractional dimension', x({ shape: [0.5, 2], data: [] }), 'whole numbers'],
    ['a negative dimension', x({ shape: [-1, 2], data: [] }), 'whole numbers'],
    ['no shape', { inputs: [{ name: 'x', datatype: 'FP32', data: [] }] }, '"shape"'],
    ['no data', x({}), 'neither "data" nor'],
    ['data that is no array', x({ data: 'abc' }), 'must be an array'],
    ['binary data without its header', x({ parameters: { binary_data_size: 8 } }), 'where the JSON ends'],
    ['shared memory', x({ parameters: { shared_memory_region: 'r' } }), 'Shared memory'],
    ['an unknown output', { ...x({ data: [1, 2] }), outputs: [{ name: 'q' }] }, '"y", "z"'],
    ['outputs that are no array', { ...x({ data: [1, 2] }), outputs: {} }, '"outputs" must be'],
    ['an id that is no string', { ...x({ data: [1, 2] }), id: 7 }, '"id"'],
    ['no inputs', {}, '"inputs" must be'],
    ['an array', [], 'must be a JSON object'],
    ['an empty body', '', 'The body is empty'],
    ['cut JSON', '{"inputs":[{"name":"x",', 'not valid JSON'],
    ['deep nesting', '['.repeat(100_000), 'nested deeper'],
    ['deep nesting of objects', '{"a":'.repeat(100_000), 'nested deeper'],
  ])('%s', (_what, json, words) => {
    const error = refusal(() => decodeRequest(body(json), null, signature));
    expect(error.status).toBe(400);
    expect(error.message).toContain(words);
  });

  test('an input that is given twice', () => {
    const input = { name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] };
    const error = refusal(() => decodeRequest(body({ inputs: [input, input] }), null, signature));
    expect(error.message).toContain('twice');
  });

  test('what is not UTF-8', () => {
    const error = refusal(() => decodeRequest(Uint8Array.of(0x7b, 0xff, 0x7d), null, signature));
    expect(error.message).toContain('not UTF-8');
  });

  test('a name of ten thousand characters is not repeated in full', () => {
    const json = { inputs: [{ name: 'n'.repeat(10_000), datatype: 'FP32', shape: [1, 2], data: [1, 2] }] };
    expect(refusal(() => decodeRequest(body(json), null, signature)).message.length).toBeLessThan(300);
  });

  /** True if it was taken, or refused as a bad request in our own words. */
  const behaves = (run: () => unknown): boolean => {
    try {
      run();
      return true;
    } catch (error) {
      return error instanceof GpufaasError && error.status === 400;
    }
  };

  test('any JSON at all is either taken or refused in our own words', () => {
    const property = fc.property(fc.jsonValue({ maxDepth: 6 }), (json) =>
      behaves(() => decodeRequest(body(json as object), null, signature)),
    );
    expect(() => fc.assert(property)).not.toThrow();
  });

  test('any bytes with any header length are either taken or refused in our own words', () => {
    const property = fc.property(fc.uint8Array({ maxLength: 64 }), fc.option(fc.nat(80)), (bytes, length) =>
      behaves(() => decodeRequest(bytes, length, signature)),
    );
    expect(() => fc.assert(property)).not.toThrow();
  });
});

describe('binary tensors', () => {
  const binary = (name: string, size: number, shape: readonly number[], datatype = 'FP32'): object => ({
    name,
    datatype,
    shape,
    parameters: { binary_data_size: size },
  });
  const decode = (json: object, to: Signature, ...tensors: readonly Uint8Array[]) => {
    const { payload, headers } = binaryBody(json, ...tensors);
    return decodeRequest(payload, Number(headers['inference-header-content-length']), to);
  };

  test('follow the JSON in the order of the inputs', () => {
    const two: Signature = { inputs: [spec('a', 'FP32', [1]), spec('b', 'FP16', [2])], outputs: [] };
    const json = { inputs: [binary('b', 4, [2], 'FP16'), binary('a', 4, [1])] };
    const { inputs } = decode(json, two, Uint8Array.of(1, 2, 3, 4), floats(7));
    expect(inputs[0]!.data).toEqual(Buffer.from(floats(7)));
    expect([...inputs[1]!.data]).toEqual([1, 2, 3, 4]);
  });

  test('may stand beside JSON tensors', () => {
    const two: Signature = { inputs: [spec('a', 'FP32', [1]), spec('b', 'INT8', [1])], outputs: [] };
    const json = { inputs: [{ name: 'b', datatype: 'INT8', shape: [1], data: [5] }, binary('a', 4, [1])] };
    const { inputs } = decode(json, two, floats(7));
    expect(inputs[1]!.data[0]).toBe(5);
  });

  test('are not copied', () => {
    const { payload, headers } = binaryBody({ inputs: [binary('x', 8, [1, 2])] }, floats(1, 2));
    const { inputs } = decodeRequest(payload, Number(headers['inference-header-content-length']), signature);
    expect(inputs[0]!.data.buffer).toBe(payload.buffer);
  });

  test('of strings are counted', () => {
    const strings = Uint8Array.of(1, 0, 0, 0, 65, 0, 0, 0, 0);
    const good = decode({ inputs: [binary('x', 9, [2], 'BYTES')] }, one('BYTES'), strings);
    expect(good.inputs[0]!.data).toHaveLength(9);
    for (const [bytes, count] of [
      [strings, 3],
      [Uint8Array.of(9, 0, 0, 0, 65), 1],
      [Uint8Array.of(1, 0), 1],
    ] as const) {
      const json = { inputs: [binary('x', bytes.length, [count], 'BYTES')] };
      expect(refusal(() => decode(json, one('BYTES'), bytes)).message).toContain('length-prefixed');
    }
  });

  test.each<[string, object, Uint8Array, string]>([
    ['too few bytes for the shape', binary('x', 4, [1, 2]), floats(1), 'needs 8 bytes, not 4'],
    ['a size beyond the body', binary('x', 8, [1, 2]), floats(1), 'only 4 bytes are left'],
    ['bytes that nobody accounts for', binary('x', 8, [1, 2]), floats(1, 2, 3), 'account for 8'],
    [
      'a size that is no number',
      { ...binary('x', 0, [1, 2]), parameters: { binary_data_size: 'all' } },
      floats(1, 2),
      'whole number',
    ],
    ['a negative size', binary('x', -8, [1, 2]), floats(1, 2), 'whole number'],
    ['data in both forms', { ...binary('x', 8, [1, 2]), data: [1, 2] }, floats(1, 2), 'both'],
  ])('%s', (_what, input, bytes, words) => {
    const error = refusal(() => decode({ inputs: [input] }, signature, bytes));
    expect(error.status).toBe(400);
    expect(error.message).toContain(words);
  });

  test('a header length beyond the body is refused', () => {
    expect(refusal(() => decodeRequest(body('{}'), 50, signature)).message).toContain('the body has 2 bytes');
  });

  test('a header length of zero makes the whole body the one input, its free dimension worked out', () => {
    const { inputs, outputs } = decodeRequest(floats(1, 2, 3, 4), 0, signature);
    expect(inputs[0]!.shape).toEqual([2, 2]);
    expect(outputs.every((output) => output.binary)).toBe(true);
    expect(refusal(() => decodeRequest(floats(1, 2, 3), 0, signature)).message).toContain('does not fill it');
  });
});

describe('requested outputs', () => {
  const outputs = (more: object) => decodeRequest(body({ ...x({ data: [1, 2] }), ...more }), null, signature).outputs;

  test('are all of them, as JSON, when nothing is said', () => {
    expect(outputs({})).toEqual([
      { name: 'y', binary: false },
      { name: 'z', binary: false },
    ]);
  });

  test('are a subset in the order asked for', () => {
    expect(outputs({ outputs: [{ name: 'z' }] })).toEqual([{ name: 'z', binary: false }]);
  });

  test('are binary by request, each output overriding the whole', () => {
    const parameters = { binary_data_output: true };
    expect(outputs({ parameters }).every((output) => output.binary)).toBe(true);
    const asked = [{ name: 'y', parameters: { binary_data: false } }, { name: 'z' }];
    expect(outputs({ parameters, outputs: asked }).map((output) => output.binary)).toEqual([false, true]);
  });

  test('other parameters are ignored', () => {
    expect(outputs({ parameters: { priority: 3, custom: 'a' } })).toHaveLength(2);
  });
});
