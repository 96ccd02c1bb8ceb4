import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CancelSignal } from '../../../src/cancellation.ts';
import { GpufaasError } from '../../../src/errors.ts';
import { HandlerCall, type FromCall } from '../../../src/functions/call.ts';
import type { HandlerResponse, RunModel } from '../../../src/functions/types.ts';
import type { ToChild } from '../../../src/functions/wire.ts';
import { readAll } from '../../helpers/handler-process.ts';

function start(runModel: RunModel = () => new Promise(() => undefined)) {
  const sent: ToChild[] = [];
  const ends: boolean[] = [];
  const call = new HandlerCall({
    number: 1,
    request: { callId: 'c', method: 'POST', path: '/', headers: {}, body: new Uint8Array(0) },
    runModel,
    send: (message) => void sent.push(message),
    tell: (message) => void sent.push(message),
    onEnd: (settled) => void ends.push(settled),
  });
  const outcome = call.response.then(
    (response) => response,
    (error: GpufaasError) => error,
  );
  return { call, sent, ends, outcome };
}

const answer = (streamed: boolean): FromCall => ({
  type: 'answer',
  call: 1,
  status: 200,
  headers: {},
  streamed,
});

function bodyOf(outcome: HandlerResponse | GpufaasError): AsyncIterableIterator<Uint8Array> {
  if (outcome instanceof GpufaasError || outcome.body instanceof Uint8Array) throw new Error('no stream came');
  return outcome.body as AsyncIterableIterator<Uint8Array>;
}

describe('the daemon’s side of a call', () => {
  it('ends once with the first answer, whatever comes after', async () => {
    const { call, ends, outcome } = start();
    call.receive(answer(false), [Uint8Array.of(1)]);
    call.receive(answer(true), []);
    call.receive({ type: 'failed', call: 1, error: { code: null, message: 'late', suggestions: [] } }, []);
    call.abort(new GpufaasError('TIMEOUT', 'late'));
    expect(await outcome).toEqual({ status: 200, headers: {}, body: Uint8Array.of(1) });
    expect(ends).toEqual([true]);
  });

  it('cancels its runs when it ends, and hears no more of them', async () => {
    const signals: CancelSignal[] = [];
    const runModel: RunModel = (_model, _inputs, signal) => {
      signals.push(signal);
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    const { call, sent, outcome } = start(runModel);
    call.receive({ type: 'run', call: 1, run: 1, model: 'm', tensors: [] }, []);
    call.receive({ type: 'run', call: 1, run: 2, model: 'm', tensors: [] }, []);
    call.receive({ type: 'run-cancelled', call: 1, run: 1 }, []);
    call.abort(new GpufaasError('CANCELLED', 'gone'));
    expect(await outcome).toMatchObject({ code: 'CANCELLED' });
    await Promise.resolve();
    expect(signals.map((signal) => signal.aborted)).toEqual([true, true]);
    expect(sent.filter((message) => message.type === 'run-failed' && message.run === 2)).toEqual([]);
  });

  it('gives credit for what was read, and no more than that', async () => {
    const { call, sent, outcome } = start();
    call.receive(answer(true), []);
    call.receive({ type: 'chunk', call: 1 }, [new Uint8Array(10)]);
    call.receive({ type: 'chunk', call: 1 }, [new Uint8Array(20)]);
    const body = bodyOf(await outcome);
    await body.next();
    expect(sent.filter((message) => message.type === 'credit')).toEqual([{ type: 'credit', call: 1, bytes: 10 }]);
    call.receive({ type: 'end', call: 1 }, []);
    expect((await body.next()).value).toHaveLength(20);
    expect((await body.next()).done).toBe(true);
  });

  it('gives up a handler that sends far more than it may', async () => {
    const { call, ends, outcome } = start();
    call.receive(answer(true), []);
    for (let i = 0; i < 40; i++) call.receive({ type: 'chunk', call: 1 }, [new Uint8Array(100_000)]);
    expect(ends).toEqual([false]);
    await expect(readAll(bodyOf(await outcome))).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('always ends, once, whatever the process sends in whatever order', async () => {
    const error = { code: null, message: 'x', suggestions: [] };
    const messages = fc.constantFrom<FromCall>(
      answer(true),
      answer(false),
      { type: 'chunk', call: 1 },
      { type: 'end', call: 1 },
      { type: 'failed', call: 1, error },
      { type: 'run', call: 1, run: 1, model: 'm', tensors: [] },
      { type: 'run', call: 1, run: 2, model: 'm', tensors: [{ name: 'x', datatype: 'FP32', shape: [9] }] },
      { type: 'run-cancelled', call: 1, run: 1 },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(messages, { maxLength: 12 }), async (sequence) => {
        const { call, ends, outcome } = start(() => Promise.resolve([]));
        for (const message of sequence) call.receive(message, [new Uint8Array(4)]);
        call.lost(new GpufaasError('HANDLER_DIED', 'gone'));
        const result = await outcome;
        if (!(result instanceof GpufaasError) && !(result.body instanceof Uint8Array)) {
          await readAll(result.body).catch(() => undefined);
        }
        expect(ends).toHaveLength(1);
      }),
    );
  });
});
