import { describe, expect, it } from 'vitest';
import { mergeSessionOptions } from '../../../src/workers/backends/session-options.ts';

const base = { intraOpNumThreads: 2, extra: { session: { 'intra_op.spin_duration_us': '30' } } };

describe('the options of a session', () => {
  it('are ours, then those of the prepared model, then the manifest’s, entry by entry', () => {
    const prepared = { graphOptimizationLevel: 'disabled', extra: { session: { disable_prepacking: '1' } } } as const;
    const asked = { intraOpNumThreads: 4, extra: { session: { disable_prepacking: '0' }, memory: { a: '1' } } };
    expect(mergeSessionOptions(base, prepared, asked)).toEqual({
      intraOpNumThreads: 4,
      graphOptimizationLevel: 'disabled',
      extra: { session: { 'intra_op.spin_duration_us': '30', disable_prepacking: '0' }, memory: { a: '1' } },
    });
  });

  it('of an instance hold to the threads it is given, whatever the manifest says', () => {
    expect(mergeSessionOptions(base, {}, { intraOpNumThreads: 4 }, 1).intraOpNumThreads).toBe(1);
    expect(mergeSessionOptions(base, {}, {}, 1).intraOpNumThreads).toBe(1);
  });

  it.each([
    [{ executionProviders: ['cuda'] }, 'executionProviders'],
    [{ extra: { session: { optimized_model_filepath: '/x' } } }, 'extra.session.optimized_model_filepath'],
    [{ extra: 'x' }, 'extra'],
    [{ extra: { session: [] } }, 'extra.session'],
  ])('refuse %j', (asked, key) => {
    expect(() => mergeSessionOptions(base, {}, asked)).toThrow(`"${key}"`);
  });
});
