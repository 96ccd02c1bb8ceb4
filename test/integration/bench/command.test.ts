// `gpufaas bench` as a user runs it: from a terminal's point of view, with files, exit codes and Ctrl-C.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { builtProgram } from '../../helpers/built.ts';

const folder = mkdtempSync(join(tmpdir(), 'gpufaas-command-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const program = builtProgram();

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command; interrupts it when it has worked for so long. */
async function gpufaas(args: string[], interruptAfterMs?: number): Promise<Ended> {
  const child = spawn(process.execPath, [program, ...args], { env: { ...process.env, GPUFAAS_HOME: folder } });
  const [stdout, stderr]: [string[], string[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk.toString()));
  const timer =
    interruptAfterMs === undefined
      ? undefined
      : setInterval(() => {
          if (workedMs(child.pid!) < interruptAfterMs) return;
          clearInterval(timer);
          child.kill('SIGINT');
        }, 50);
  const [code] = (await once(child, 'close')) as [number | null];
  clearInterval(timer);
  return { code, stdout: stdout.join(''), stderr: stderr.join('') };
}

/** The processor time that a process has had, in milliseconds (Linux). */
function workedMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // In hundredths of a second.
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function file(name: string, content: string): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

const profile = file(
  'p.json',
  JSON.stringify({
    models: { a: { memoryMB: 60, loadMs: 100, runMs: 10 }, b: { memoryMB: 60, loadMs: 200, runMs: 20 } },
  }),
);
const requests = file('r.csv', 'at_ms,model\n0,a\n5,b\n5,a\n400,a\n');
const exact = ['bench', '--requests', requests, '--profile', profile, '--devices', '1', '--memory', '100MB'];

describe('gpufaas bench', () => {
  it('answers in JSON and nothing else, worked out by hand', async () => {
    const timeline = join(folder, 't.csv');
    const { code, stdout } = await gpufaas([...exact, '--policy', 'lb', '--timeline', timeline, '--json']);
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as { results: object[]; workload: object };
    // a: 0-110. b: 110-330, past the second a, which waits for its model again: 330-440. The last: 440-450.
    expect(report.results).toEqual([
      {
        policy: 'lb',
        workingSet: 2,
        requests: 4,
        meanMs: 230,
        p50Ms: 325,
        p99Ms: 435,
        maxMs: 435,
        missRatio: 0.75,
        coldRatio: 1,
        falseMissRatio: 0,
        utilization: Number((50 / 450).toFixed(6)),
        makespanMs: 450,
        loads: 3,
        speedup: 1,
        seeds: [expect.objectContaining({ seed: 1, meanMs: 230 })],
      },
    ]);
    expect(readFileSync(timeline, 'utf8')).toBe(
      [
        'device,kind,model,request,start_ms,end_ms',
        '0,load,a,0,0,100',
        '0,run,a,0,100,110',
        '0,evict,a,,110,110',
        '0,load,b,1,110,310',
        '0,run,b,1,310,330',
        '0,evict,b,,330,330',
        '0,load,a,2,330,430',
        '0,run,a,2,430,440',
        '0,run,a,3,440,450',
        '',
      ].join('\n'),
    );
  });

  it('shows a table and saves a report', async () => {
    const out = join(folder, 'out');
    const { code, stdout, stderr } = await gpufaas([...exact, '--out', out]);
    expect(code).toBe(0);
    expect(stdout).toContain('VS LB');
    expect(stdout).toMatch(/^locality /m);
    expect(stderr).toContain(join(out, 'report.html'));
    expect(readFileSync(join(out, 'results.csv'), 'utf8')).toContain('lalbo3,2,4,');
  });

  it.each([
    [['--requests', file('bad.csv', 'at_ms,model\n0,a\n-1,a\n'), '--profile', profile], 'bad.csv, line 3, column 1'],
    [['--memory', '1GB'], 'the largest device has 1 GB'],
    [['--policy', 'fifo'], 'There is no policy named "fifo"'],
    [['--speed', '3'], '--speed belongs to --emulate'],
    [['--seeds', '1-10000', '--out', requests], 'is not a folder'],
    [['--seeds', '1-10000', '--timeline', join(folder, 'nosuch', 't.csv')], 'there is no folder'],
    [['--emulate', '--live'], ''],
    [['--live', '--overlap', 'off'], '--live does not go with --overlap'],
  ])('refuses %j in two lines', async (args, message) => {
    const { code, stdout, stderr } = await gpufaas(['bench', ...args]);
    expect(code).toBe(args[0] === '--memory' ? 1 : 2);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(2);
  });

  it.runIf(process.platform === 'linux')('prints what is done at Ctrl-C', async () => {
    const { code, stdout, stderr } = await gpufaas(['bench', '--seeds', '1-10000', '--policy', 'lalb'], 2_000);
    expect(code).toBe(130);
    expect(stdout).toContain('Working set 15');
    expect(stderr).toContain('Interrupted');
  });

  it.each([
    ['SIGHUP', 0],
    ['SIGHUP', 1000],
    ['SIGTERM', 1000],
  ] as const)(
    '%s to all of the terminal leaves no files of a real daemon, after %i ms of it',
    async (signal, pauseMs) => {
      const temporary = mkdtempSync(join(folder, 'temporary-'));
      const child = spawn(process.execPath, [program, 'bench', '--emulate', '--policy', 'lb'], {
        env: { ...process.env, GPUFAAS_HOME: folder, TMPDIR: temporary },
        stdio: ['ignore', 'ignore', 'pipe'],
        detached: true,
      });
      let stderr = '';
      child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
      const ended = once(child, 'close');
      const left = (): string[] => readdirSync(temporary).filter((name) => name.startsWith('gpufaas-bench-'));
      await expect.poll(() => left().length, { timeout: 30_000 }).toBe(2);
      await sleep(pauseMs);
      // To the whole group, as a terminal does.
      process.kill(-child.pid!, signal);
      expect(await ended).toEqual([130, null]);
      expect(left()).toEqual([]);
      expect(stderr).toBe('Interrupted: this is what was done until then.\n');
    },
  );

  it('writes a line for each case of a real daemon where there is no terminal', async () => {
    const small = ['--policy', 'lalb,lb', '--working-set', '2', '--devices', '1', '--rpm', '20', '--minutes', '1'];
    const { code, stderr } = await gpufaas(['bench', '--emulate', '--speed', '60', ...small]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^lalb, working set 2 \(1 of 2\): mean .*\nlb, working set 2 \(2 of 2\): mean .*\n$/);
  }, 120_000);

  it('says before a live bench how long it takes, and in the help that it is several seeds', async () => {
    const { stdout } = await gpufaas(['bench', '--help']);
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain('with real models: seeds 1-5, one after the other');
    const nothing = ['--functions', join(folder, 'nosuch.onnx')];
    const { stderr } = await gpufaas(['bench', '--live', '--policy', 'lb', '--minutes', '1', ...nothing]);
    expect(stderr).toContain('1 policy × 5 seeds × 1m 0s: at least 5m 0s');
  }, 60_000);

  it('needs a daemon for a replay', async () => {
    expect(await gpufaas(['bench', '--replay'])).toMatchObject({ code: 4, stdout: '' });
  });
});
