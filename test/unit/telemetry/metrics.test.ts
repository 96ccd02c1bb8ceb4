// What Prometheus sees after given events.

import { expect, onTestFinished, test, vi } from 'vitest';
import type { InvocationRecord } from '../../../src/api/schemas.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { FakePlatform } from '../../helpers/fake-platform.ts';
import { echoFunction } from '../../helpers/gateway.ts';

const record: InvocationRecord = {
  id: 'i',
  function: 'echo',
  version: 3,
  surface: 'infer',
  status: 200,
  errorCode: null,
  errorMessage: null,
  arrivedAt: '2026-01-01T00:00:00Z',
  cache: 'miss',
  device: 'cpu:0',
  runs: [
    { model: 'model', device: 'cpu:0', cache: 'miss', queueMs: 10, loadMs: 400, runMs: 75 },
    { model: 'model', device: 'cpu:0', cache: 'hit', queueMs: 0, loadMs: 0, runMs: 25 },
  ],
  timing: { queueMs: 10, loadMs: 400, runMs: 100, handlerMs: 0, totalMs: 510 },
  decisions: [],
};

function start() {
  const platform = new FakePlatform(echoFunction);
  const metrics = createMetrics(platform);
  onTestFinished(() => metrics.close());
  onTestFinished(() => platform.close());
  return { platform, metrics };
}

test('invocations are counted in our words and in those of OpenFaaS and Triton', async () => {
  const { platform, metrics } = start();
  platform.emit({ type: 'invocation', record });
  platform.emit({ type: 'invocation', record: { ...record, status: 504, runs: [] } });
  const text = await metrics.text();
  for (const line of [
    'gpufaas_invocations_total{function="echo",surface="infer",status="200"} 1',
    'gpufaas_invocations_total{function="echo",surface="infer",status="504"} 1',
    'gpufaas_cache_hits_total{function="echo",device="cpu:0"} 1',
    'gpufaas_cache_misses_total{function="echo",device="cpu:0"} 1',
    'gpufaas_queue_seconds_count{device="cpu:0"} 2',
    'gpufaas_load_wait_seconds_sum{device="cpu:0"} 0.4',
    'gpufaas_run_seconds_sum{device="cpu:0"} 0.1',
    'gateway_function_invocation_total{function_name="echo.openfaas-fn",code="200"} 1',
    'gateway_functions_seconds_sum{function_name="echo.openfaas-fn",code="200"} 0.51',
    'gateway_service_count{function_name="echo.openfaas-fn"} 1',
    'nv_inference_request_success{model="echo",version="3"} 2',
    'nv_inference_request_failure{model="echo",version="3"} 1',
    'nv_inference_compute_infer_duration_us{model="echo",version="3"} 100000',
    'nv_inference_queue_duration_us{model="echo",version="3"} 10000',
  ]) {
    expect(text).toContain(line);
  }
});

test('loads, evictions and devices are counted', async () => {
  const { platform, metrics } = start();
  const about = { at: 'now', device: 'cpu:0', sha256: 'ab', functions: ['echo'], bytes: 1 };
  const load = { ...about, type: 'load', loadMs: 250, reason: 'miss-most-free', errorCode: null } as const;
  platform.emit({ ...load, falseMiss: true });
  platform.emit({ ...load, falseMiss: false, errorCode: 'OUT_OF_MEMORY' });
  platform.emit({ ...about, type: 'evict', reason: 'capacity', ageMs: 2000 });
  platform.emit({ type: 'device', at: 'now', device: 'cpu:0', state: 'restarting', message: '' });
  const text = await metrics.text();
  for (const line of [
    'gpufaas_loads_total{device="cpu:0",reason="miss-most-free",result="ok"} 1',
    'gpufaas_loads_total{device="cpu:0",reason="miss-most-free",result="failed"} 1',
    'gpufaas_load_seconds_sum{device="cpu:0"} 0.25',
    'gpufaas_cache_false_misses_total{device="cpu:0"} 1',
    'gpufaas_evictions_total{device="cpu:0",reason="capacity"} 1',
    'gpufaas_eviction_age_seconds_sum{device="cpu:0"} 2',
    'gpufaas_device_changes_total{device="cpu:0",state="restarting"} 1',
  ]) {
    expect(text).toContain(line);
  }
});

test('gauges are read when somebody asks', async () => {
  const { metrics } = start();
  const text = await metrics.text();
  for (const line of [
    'gpufaas_info{version="1.2.3"} 1',
    'gpufaas_device_memory_bytes{device="cpu:0",kind="cpu"} 1000',
    'gpufaas_device_resident_bytes{device="cpu:0",kind="cpu"} 10',
    'gpufaas_device_resident_models{device="cpu:0",kind="cpu"} 1',
    'gpufaas_device_up{device="cpu:0",kind="cpu"} 1',
    'gpufaas_queued 0',
    'process_resident_memory_bytes',
  ]) {
    expect(text).toContain(line);
  }
  expect(text).not.toContain('gpufaas_device_measured_bytes{');
});

test('a function that is removed leaves no series behind', async () => {
  const { platform, metrics } = start();
  platform.emit({ type: 'invocation', record });
  expect(await metrics.text()).toContain('"echo"');
  await platform.remove('echo');
  platform.emit({ type: 'function', at: 'now', function: 'echo', version: 3, change: 'removed' });
  await metrics.text();
  await expect.poll(() => metrics.text()).not.toMatch(/"echo[".]/);
});

test('two daemons in one process do not share figures, and closing ends the listening', async () => {
  const [one, two] = [start(), start()];
  one.platform.emit({ type: 'invocation', record });
  expect(await two.metrics.text()).not.toContain('gpufaas_invocations_total{');
  expect(one.platform.listeners).toBe(1);
  one.metrics.close();
  expect(one.platform.listeners).toBe(0);
});

test('a call is counted under the name that its model had then, whatever the next version has', async () => {
  const { platform, metrics } = start();
  platform.emit({ type: 'invocation', record });
  await new Promise(setImmediate);
  const served = platform.function('echo')!;
  const [model] = served.models;
  vi.spyOn(platform, 'function').mockReturnValue({
    ...served,
    version: 4,
    models: [model!, { ...model!, name: 'other' }],
  });
  platform.emit({ type: 'function', at: 'now', function: 'echo', version: 4, change: 'deployed' });
  const text = await metrics.text();
  expect(text).toContain('nv_inference_count{model="echo",version="3"} 2');
  expect(text).not.toContain('echo.model');
});

test('a call that ends after its function was removed brings no series back', async () => {
  const { platform, metrics } = start();
  platform.emit({ type: 'invocation', record });
  vi.spyOn(platform, 'function').mockReturnValue(undefined);
  platform.emit({ type: 'function', at: 'now', function: 'echo', version: 3, change: 'removed' });
  await new Promise(setImmediate);
  platform.emit({ type: 'invocation', record });
  const text = await metrics.text();
  expect(text).not.toMatch(/(function|model)="echo"/);
  expect(text).not.toContain('gateway_function_invocation_total{');
});
