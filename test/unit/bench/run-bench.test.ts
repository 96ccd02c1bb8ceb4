import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { listCases } from '../../../src/bench/cases.ts';
import { saveBench } from '../../../src/bench/report/save.ts';
import { runBench } from '../../../src/bench/run-bench.ts';
import { runCases } from '../../../src/bench/run-cases.ts';
import { readSettings } from '../../../src/bench/settings.ts';
import { renderReport } from '../../../src/bench/table.ts';

const folder = mkdtempSync(join(tmpdir(), 'gpufaas-bench-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const small = { policy: 'lb,lalbo3', 'working-set': '5,25', minutes: '2', rpm: '200' };

describe('A bench', () => {
  it('reports one result per policy and working set, averaged over seeds, with each seed beside it', async () => {
    const { report } = await runBench(readSettings({ ...small, seeds: '1-3' }));
    expect(report.results.map(({ policy, workingSet }) => `${policy} ${workingSet}`)).toEqual([
      'lb 5',
      'lalbo3 5',
      'lb 25',
      'lalbo3 25',
    ]);
    const [lb, lalbo3] = report.results;
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(lalbo3!.seeds.map(({ seed }) => seed)).toEqual([1, 2, 3]);
    expect(lalbo3!.meanMs).toBeCloseTo(mean(lalbo3!.seeds.map(({ meanMs }) => meanMs)), 2);
    // Of the averages, not the average of the speed-ups.
    expect(lalbo3!.speedup).toBeCloseTo(lb!.meanMs / lalbo3!.meanMs, 4);
    expect(lb!.speedup).toBe(1);
    expect(Object.keys(report)).toEqual(['context', 'workload', 'results']);
    expect(report.context).toMatchObject({ mode: 'simulation', settings: { seeds: [1, 2, 3], skipLimit: 25 } });
  });

  it('gives the same figures again, and says null where lb was not run', async () => {
    const settings = readSettings({ ...small, policy: 'lalbo3' });
    const [first, second] = [await runBench(settings), await runBench(settings)];
    expect(second.report.results).toEqual(first.report.results);
    expect(first.report.results.map(({ speedup }) => speedup)).toEqual([null, null]);
  });

  it('gives the same figures on threads', async () => {
    const cases = listCases(readSettings({ ...small, rpm: '1000', devices: '64' }), [
      { name: 'lalb', module: null },
      { name: 'lalbo3', module: null },
    ]);
    const seen: number[] = [];
    const threads = await runCases(cases, { threads: 2, threadsFrom: 0, onProgress: (done) => seen.push(done) });
    const here = await runCases(cases, { threads: 1 });
    for (const index of cases.keys()) expect(threads.get(index)).toEqual(here.get(index));
    expect(seen.at(-1)).toBe(8000);
  });

  it('keeps what is done when it is stopped', async () => {
    const abort = new AbortController();
    const settings = readSettings({ ...small, rpm: '3000', devices: '200' });
    let told = 0;
    const { report } = await runBench(settings, {
      signal: abort.signal,
      onProgress: () => {
        if (++told === 3) abort.abort();
      },
    });
    expect(report.interrupted).toBe(true);
    expect(report.results.length).toBeGreaterThan(0);
    expect(report.results.length).toBeLessThan(4);
  });

  it('finds the highest load each policy carries', async () => {
    const settings = readSettings({ ...small, 'working-set': '35', sweep: 'rpm=100..500:200' });
    const { report } = await runBench(settings);
    expect(report.sweep!.points).toHaveLength(6);
    const [lb, lalbo3] = report.sweep!.carried;
    expect(lalbo3!.rpm).toBeGreaterThan(lb!.rpm ?? 0);
    for (const { policy, rpm } of report.sweep!.carried) {
      const own = report.sweep!.points.filter((point) => point.policy === policy);
      expect(own.every((point) => point.stable || point.rpm > (rpm ?? 0))).toBe(true);
    }
    expect(report.results).toHaveLength(2);
  });

  it('names only the policies once', async () => {
    await expect(runBench(readSettings({ policy: 'lb,fifo' }))).rejects.toThrow('There is no policy named "fifo"');
  });

  it('writes the time line as CSV', async () => {
    const timeline = join(folder, 't.csv');
    const { timelines } = await runBench(readSettings({ ...small, policy: 'lb', 'working-set': '5' }), { timeline });
    expect(timelines).toEqual([timeline]);
    const lines = readFileSync(timeline, 'utf8').trimEnd().split('\n');
    expect(lines[0]).toBe('device,kind,model,request,start_ms,end_ms');
    expect(lines[1]).toMatch(/^0,load,[\w.]+,0,\d+,\d+$/);
    expect(lines.filter((line) => line.includes(',run,'))).toHaveLength(400);
  });
});

describe('The report', () => {
  it('is a table with the speed-up over lb', async () => {
    const { report } = await runBench(readSettings({ ...small, sweep: 'rpm=100..200:100' }));
    const text = renderReport(report);
    expect(text).toContain('Workload "paper" (a reconstruction): 200 requests a minute for 2 minutes');
    expect(text).toContain('Working set 25 · 400 requests');
    expect(text).toMatch(/^lalbo3 .*x$/m);
    expect(text).toContain('Highest load carried');
  });

  it('has no table of what there was nothing to compare for', async () => {
    const { report, details } = await runBench(readSettings({ ...small, policy: 'lb' }));
    const bare = { ...report, simulated: [], paired: [], advice: [] };
    expect(renderReport(bare)).toBe(renderReport(report));
    const [html] = saveBench(join(folder, 'bare'), { report: bare, details, timelines: [] });
    expect(readFileSync(html!, 'utf8')).not.toMatch(/Daemon and simulator|paired by seed|What to buy/);
  });

  it('is saved as a page that needs nothing from anywhere, JSON and CSV', async () => {
    const findings = await runBench(readSettings({ ...small, sweep: 'rpm=100..200:100' }), { pictureMs: 60_000 });
    const [html, json, csv] = saveBench(join(folder, 'out'), findings).map((path) => readFileSync(path, 'utf8'));
    expect(html).not.toMatch(/(src|href)=|https?:|url\(|@import|<script/);
    expect(html).toContain('prefers-color-scheme: dark');
    expect(html!.match(/<svg/g)!.length).toBe(2 + 2 + 2 + 2);
    expect(html).not.toContain('NaN');
    expect(JSON.parse(json!)).toEqual(JSON.parse(JSON.stringify(findings.report)));
    expect(csv!.trimEnd().split('\n')).toHaveLength(1 + 4 + 8);
  });

  it('shows names from files as text', async () => {
    const { report, details } = await runBench(readSettings({ ...small, policy: 'lb' }), { pictureMs: 1000 });
    const evil = { ...report, workload: { ...report.workload, profile: '<img onerror=x>' } };
    const [html] = saveBench(join(folder, 'evil'), { report: evil, details, timelines: [] });
    expect(readFileSync(html!, 'utf8')).not.toContain('<img');
  });
});
