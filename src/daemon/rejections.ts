// What the scheduling core's refusals mean to the caller: each as an error with what to do about it.

import { GpufaasError } from '../errors.ts';
import type { Misfit, RejectCode, RejectDetails } from '../scheduling/types.ts';
import { formatSize } from '../units.ts';

const REJECTIONS: Readonly<Record<RejectCode, readonly [message: string, suggestion: string]>> = {
  QUEUE_FULL: ['The queue is full.', 'Try again after the time in Retry-After, or add devices.'],
  DEADLINE: [
    'The deadline can not be met.',
    'Try again when there is less to do, or allow more time in function.yaml.',
  ],
  DOES_NOT_FIT: [
    'The model fits into no device.',
    'Give the devices more memory: `gpufaas down`, then `gpufaas up --devices SPEC`.',
  ],
  QUARANTINED: [
    'The model is quarantined: its worker died twice in a row while it was loaded or run.',
    'Deploy it again, or try it again with `gpufaas load`.',
  ],
  MODEL_NOT_FOUND: ['The model of this function is not there any more.', 'Deploy the function again.'],
  NO_DEVICE: ['No device is in service.', '`gpufaas devices` says what is wrong with them.'],
};

/** What the core's refusal of a request means to the caller. */
export function rejection(code: RejectCode, { retryAfterMs, misfit }: RejectDetails = {}): GpufaasError {
  if (misfit !== undefined) return doesNotFit(misfit, null);
  const [message, suggestion] = REJECTIONS[code];
  return new GpufaasError(code, message, {
    suggestions: [suggestion],
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** Why a model can be held nowhere, or not on the one device it was wanted on. */
export function doesNotFit({ needsBytes, largestBytes }: Misfit, device: string | null): GpufaasError {
  const needs = `The model needs ${formatSize(needsBytes)}`;
  if (needsBytes > largestBytes) {
    const has = `${device ?? 'the largest device'} has ${formatSize(largestBytes)}`;
    return new GpufaasError('DOES_NOT_FIT', `${needs}; ${has}.`, {
      suggestions: [
        'Give the daemon larger devices (`gpufaas down`, then `gpufaas up --devices SPEC`), or deploy a smaller model.',
      ],
    });
  }
  const where = device === null ? 'no device has that much' : `${device} does not have that much`;
  return new GpufaasError('DOES_NOT_FIT', `${needs}; ${where} beside what is pinned there.`, {
    suggestions: [
      '`gpufaas ps` shows what is pinned; `gpufaas pin FN --off` lets it go.',
      'Or give the daemon larger devices: `gpufaas down`, then `gpufaas up --devices SPEC`.',
    ],
  });
}
