import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startDev, type RunningDev } from '../src/runtime/dev/index.ts';
import { machine, median, shown } from './support/figures.ts';

/**
 * The agent at rest, as `fairlead dev` starts it, against a real Temporal server: memory, processor time, and how long it takes from its start until
 * it asks for work. Run: `node bench/agent.ts [STARTS]`.
 */
const residentLimitMiB = 90;
const settleMs = 10_000;
const watchMs = 20_000;
const starts = Number(process.argv[2] ?? 5);
const name = 'agent-h1';

interface AtRest {
  readonly startMs: number;
  readonly residentMiB: number;
  readonly proportionalMiB: number;
  readonly processorMs: number;
}

async function measureOne(dev: RunningDev): Promise<AtRest> {
  const before = dev.pids()[name] ?? null;
  // The supervisor starts it again.
  if (before !== null) process.kill(before, 'SIGKILL');
  const pid = await until('the agent is started again', () => {
    const now = dev.pids()[name] ?? null;
    return now === before ? null : now;
  });
  const startedAt = startOf(pid);
  const atWork = await until('the agent is at work', () => atWorkAt(dev, pid));
  await pause(settleMs);
  const began = processorMsOf(pid);
  const resident = memoryOf(pid, 'status', 'VmRSS');
  const proportional = memoryOf(pid, 'smaps_rollup', 'Pss');
  await pause(watchMs);
  return { startMs: atWork - startedAt, residentMiB: Math.max(resident, memoryOf(pid, 'status', 'VmRSS')), proportionalMiB: proportional, processorMs: processorMsOf(pid) - began };
}

async function until<T>(what: string, look: () => T | null): Promise<T> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const found = look();
    if (found !== null) return found;
    if (performance.now() > deadline) throw new Error(`not within 30 s: ${what}`);
    await pause(20);
  }
}

/** When it wrote that it polls, in milliseconds since the epoch. */
function atWorkAt(dev: RunningDev, pid: number): number | null {
  for (const line of readFileSync(join(dev.summary.logs, `${name}.log`), 'utf8').split('\n')) {
    if (!line.includes('agent is at work')) continue;
    const entry = JSON.parse(line) as { pid: number; time: string };
    if (entry.pid === pid) return Date.parse(entry.time);
  }
  return null;
}

const ticksPerSecond = 100;
/** Fields 22, 14 and 15 of proc_pid_stat(5); the command, which may hold blanks, is cut off first. */
const statOf = (pid: number): string[] => readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
/** In milliseconds since the epoch, to 10 ms. */
function startOf(pid: number): number {
  const upMs = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1_000;
  return Date.now() - (upMs - (Number(statOf(pid)[19]) * 1_000) / ticksPerSecond);
}
const processorMsOf = (pid: number): number => ((Number(statOf(pid)[11]) + Number(statOf(pid)[12])) * 1_000) / ticksPerSecond;
const memoryOf = (pid: number, file: string, field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'))?.[1]) / 1_024;

/** What a Node that does nothing holds: the share that is not ours. */
async function bareNodeMiB(): Promise<number> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)'], { stdio: 'ignore' });
  try {
    await pause(2_000);
    return memoryOf(child.pid as number, 'status', 'VmRSS');
  } finally {
    child.kill('SIGKILL');
  }
}

const dir = await fs.mkdtemp(join(process.env['BENCH_DIR'] ?? tmpdir(), 'fairlead-bench-agent-'));
await fs.chmod(dir, 0o755);
console.log(`${machine()}; min / median / max of ${starts} starts`);
const dev = await startDev({ dir, hosts: 1, env: process.env, say: () => undefined });
try {
  const bare = await bareNodeMiB();
  const found: AtRest[] = [];
  for (let start = 0; start < starts; start += 1) found.push(await measureOne(dev));
  const resident = found.map(({ residentMiB }) => residentMiB);
  const isHeld = median(resident) <= residentLimitMiB;
  console.log(`  resident                  ${shown(resident, 1)} MiB   limit ${residentLimitMiB} MiB: ${isHeld ? 'held' : 'NOT HELD'}   (a Node that does nothing: ${bare.toFixed(1)})`);
  console.log(`  proportional (Pss)        ${shown(found.map(({ proportionalMiB }) => proportionalMiB), 1)} MiB`);
  console.log(`  processor, ${watchMs / 1_000} s at rest   ${shown(found.map(({ processorMs }) => processorMs))} ms`);
  console.log(`  start to first poll       ${shown(found.map(({ startMs }) => startMs))} ms`);
  process.exitCode = isHeld ? 0 : 1;
} finally {
  await dev.stop();
  await fs.rm(dir, { recursive: true, force: true });
}
