import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { FunctionDetail } from '../../../src/api/schemas.ts';
import { describeContext } from '../../../src/bench/context.ts';
import { runLoad } from '../../../src/bench/http/load.ts';
import type { LoadPlan } from '../../../src/bench/http/load.ts';
import { failureOf, renderLoad, summariseLoad } from '../../../src/bench/http/report.ts';
import { sampleInput } from '../../../src/bench/http/sample-input.ts';

let server: Server | undefined;
afterEach(() => {
  server?.close();
  server?.closeAllConnections();
});

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<URL> {
  server = createServer(answer);
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/function/f`);
}

const plan = (over: Partial<LoadPlan>): LoadPlan => ({ callers: 4, durationMs: 300, rate: null, ...over });
const target = (url: URL) => ({ url, headers: { 'content-type': 'text/plain' }, body: Buffer.from('hello') });
const context = describeContext('http', [], {});

function timed(response: ServerResponse, status = 200): void {
  response.writeHead(status, {
    'x-gpufaas-cache': 'miss',
    'server-timing': 'queue;dur=1, load;dur=2, run;dur=3',
    'x-duration-seconds': '0.008',
  });
  response.end('answer');
}

describe('A load test', () => {
  it('keeps a number of callers busy and says where the time went', async () => {
    let most = 0;
    let underWay = 0;
    let answered = 0;
    const enough = new AbortController();
    const url = await serve((request, response) => {
      most = Math.max(most, ++underWay);
      request.resume();
      setTimeout(() => {
        underWay--;
        timed(response);
        if (++answered === 40) enough.abort();
      }, 10);
    });
    const outcome = await runLoad(target(url), plan({ durationMs: 60_000, signal: enough.signal }));
    expect(most).toBe(4);
    const report = summariseLoad('f', plan({}), outcome, context);
    expect(report).toMatchObject({ mode: 'closed', callers: 4, failed: 0, notSent: 0, coldRatio: 1 });
    expect(report.requests).toBeGreaterThan(20);
    expect(report.time).toMatchObject({ queueMs: 1, loadMs: 2, runMs: 3 });
    expect(report.time.handlerMs).toBeCloseTo(2);
    const { queueMs, loadMs, runMs, handlerMs, transportMs } = report.time;
    expect(queueMs + loadMs + runMs + handlerMs + transportMs).toBeCloseTo(report.meanMs, 1);
    expect(renderLoad(report)).toContain('100.0% waited for a load');
  });

  it('sends at a rate whatever the answers do, and counts from when a call was due', async () => {
    const url = await serve((request, response) => {
      request.resume();
      setTimeout(() => timed(response), 150);
    });
    const outcome = await runLoad(target(url), plan({ rate: 50, durationMs: 400 }));
    expect(outcome.answers).toHaveLength(20);
    expect(outcome.elapsedMs).toBeGreaterThan(380 + 145);
    // One caller waiting for its answer would have managed three.
    expect(outcome.answers.every((answer) => answer.latencyMs >= 145)).toBe(true);
  });

  it('counts what fails, and does not take it for answers', async () => {
    let count = 0;
    const url = await serve((request, response) => {
      request.resume();
      if (++count % 3 === 0) response.destroy();
      else timed(response, count % 3 === 1 ? 200 : 429);
    });
    const report = summariseLoad('f', plan({}), await runLoad(target(url), plan({})), context);
    expect(report.failures['429']).toBeGreaterThan(0);
    expect(report.failures['ECONNRESET']).toBeGreaterThan(0);
    expect(report.failed + report.requests).toBeGreaterThanOrEqual(count - 4);
    expect(renderLoad(report)).toMatch(/failed +\d+: .*429/);
  });

  it('ends at the signal with what it has', async () => {
    const abort = new AbortController();
    const { signal } = abort;
    let answered = 0;
    const url = await serve((request, response) => {
      request.resume();
      timed(response);
      // Some later calls are under way when it fires.
      if (++answered === 10) setTimeout(() => abort.abort(), 5);
    });
    const outcome = await runLoad(target(url), plan({ durationMs: 60_000, signal }));
    expect(outcome.elapsedMs).toBeLessThan(30_000);
    expect(outcome.answers.length).toBeGreaterThan(0);
    expect(outcome.broken.size).toBe(0);
    expect(summariseLoad('f', plan({ signal }), outcome, context).interrupted).toBe(true);
  });

  it('survives a daemon that is gone', async () => {
    const url = await serve(() => undefined);
    server!.close();
    const report = summariseLoad('f', plan({}), await runLoad(target(url), plan({ durationMs: 100 })), context);
    expect(report).toMatchObject({ requests: 0, meanMs: 0, p99Ms: 0, coldRatio: 0, daemonGone: true });
    expect(report.failures['ECONNREFUSED']).toBeGreaterThan(0);
    expect(failureOf(report)).toMatchObject({ code: 'NO_DAEMON', exitCode: 4 });
  });

  it.each([
    ['callers', null],
    ['a rate', 50],
  ])('ends soon when nothing listens any more, and keeps what was measured: %s', async (_, rate) => {
    let answered = 0;
    const url = await serve((request, response) => {
      request.resume();
      timed(response);
      if (++answered < 5) return;
      server!.close();
      server!.closeAllConnections();
    });
    const outcome = await runLoad(target(url), plan({ rate, durationMs: 600_000 }));
    const report = summariseLoad('f', plan({ rate }), outcome, context);
    expect(report.requests).toBeGreaterThan(0);
    expect(report).toMatchObject({ daemonGone: true });
    expect(failureOf(report)?.message).toMatch(/^The daemon is gone: .* answered\)\.$/);
  });

  it('goes on when a daemon that was away is back', async () => {
    const url = await serve((request, response) => {
      request.resume();
      timed(response);
    });
    server!.close();
    const enough = new AbortController();
    setTimeout(() => {
      server = createServer((request, response) => {
        request.resume();
        timed(response);
        enough.abort();
      }).listen(Number(url.port), '127.0.0.1');
    }, 200);
    const outcome = await runLoad(target(url), plan({ durationMs: 600_000, signal: enough.signal }));
    expect(outcome.broken.get('ECONNREFUSED')).toBeGreaterThan(0);
  });

  it('is a failure if most calls failed', () => {
    const report = (failed: number) => {
      const answer = { latencyMs: 1, cold: false, queueMs: 0, loadMs: 0, runMs: 0, serverMs: 1 };
      const answers = Array.from({ length: 4 }, (_unused, index) => ({
        ...answer,
        status: index < failed ? 429 : 200,
      }));
      const outcome = { answers, broken: new Map<string, number>(), notSent: 0, gone: false, elapsedMs: 10 };
      return summariseLoad('f/path', plan({}), outcome, context);
    };
    expect(failureOf(report(2))).toBeNull();
    const failure = failureOf(report(3));
    expect(failure).toMatchObject({ exitCode: 1, message: 'Most calls failed: 3 of 4.' });
    expect(failure?.suggestions.join(' ')).toContain('`gpufaas logs f`');
  });
});

describe('A sample input', () => {
  const detail = (over: object, inputs: object[]): FunctionDetail =>
    ({ name: 'f', handler: null, modelDetails: [{ inputs }], ...over }) as unknown as FunctionDetail;

  it('is zeros of the declared shapes, one row', () => {
    const input = { name: 'x', datatype: 'FP32', shape: [-1, 3, 2] };
    const { headers, body } = sampleInput(detail({}, [input, { name: 'n', datatype: 'INT64', shape: [1] }]));
    const length = Number(headers['inference-header-content-length']);
    expect(JSON.parse(Buffer.from(body.subarray(0, length)).toString()).inputs).toEqual([
      { name: 'x', datatype: 'FP32', shape: [1, 3, 2], parameters: { binary_data_size: 24 } },
      { name: 'n', datatype: 'INT64', shape: [1], parameters: { binary_data_size: 8 } },
    ]);
    expect(body.length).toBe(length + 32);
  });

  it('is not guessed for handlers and text', () => {
    expect(() => sampleInput(detail({ handler: 'handler.ts' }, []))).toThrow('What f takes is not known');
    const text = { name: 's', datatype: 'BYTES', shape: [1] };
    expect(() => sampleInput(detail({}, [text]))).toThrow('What f takes is not known');
  });
});
