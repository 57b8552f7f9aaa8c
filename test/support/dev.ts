import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signalProcess, waitForEnd } from '../../src/adapters/process/proc.ts';

const launcher = join(import.meta.dirname, '../../bin/fairlead');

export interface CommandEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const neutral = (): NodeJS.ProcessEnv => Object.fromEntries(Object.entries(process.env).filter(([name]) => name === 'FAIRLEAD_TEMPORAL_CLI' || !/^(FAIRLEAD_|NODE_OPTIONS$)/.test(name)));

/** Runs `bin/fairlead` to its end, as a person would. */
export function fairlead(argv: readonly string[], options: { cwd?: string; env?: Readonly<Record<string, string>>; timeoutMs?: number } = {}): Promise<CommandEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(launcher, argv, { cwd: options.cwd ?? tmpdir(), env: { ...neutral(), ...options.env }, timeout: options.timeoutMs ?? 60_000, killSignal: 'SIGKILL' });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString('utf8')));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

export interface DevReady {
  readonly ready: true;
  readonly dir: string;
  readonly api: string;
  readonly temporal: string;
  readonly temporalUi: string;
  readonly adminKeyFile: string;
  readonly publisherKeyFile: string;
  readonly hosts: readonly { readonly host: string; readonly root: string }[];
  readonly pids: Readonly<Record<string, number | null>>;
}

export interface DevProcess {
  readonly ready: DevReady;
  readonly child: ChildProcess;
  /** Lines of standard error so far. */
  readonly notes: () => string;
  /** SIGTERM, and the exit code. Idempotent. */
  stop(): Promise<number | null>;
  /** SIGKILL to `fairlead dev` alone: what it started is left behind. */
  killHard(): Promise<void>;
}

/** Starts `fairlead dev` in `dir` and waits until it is ready. */
export async function startDevProcess(dir: string, argv: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<DevProcess> {
  const child = spawn(launcher, ['dev', '--dir', dir, '--json', ...argv], { cwd: tmpdir(), env: { ...neutral(), ...env } });
  let stdout = '';
  let notes = '';
  child.stderr.on('data', (chunk: Buffer) => (notes += chunk.toString('utf8')));
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const ready = await new Promise<DevReady>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString('utf8');
      if (stdout.endsWith('\n')) resolve(JSON.parse(stdout) as DevReady);
    });
    child.once('error', reject);
    void ended.then((code) => reject(new Error(`fairlead dev ended with ${code} before it was ready:\n${notes}`)));
  });
  return {
    ready,
    child,
    notes: () => notes,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      return ended;
    },
    async killHard() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

export function makeDevDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'fairlead-dev-'));
}

/** Ends whatever still runs of `dir`, by starting nothing: the pids of its state file, and removes it. For `afterAll`, when a test failed half-way. */
export async function destroyDevDirectory(dir: string): Promise<void> {
  const left = Object.values(readProcesses(dir));
  for (const identity of left) await signalProcess(identity, 'SIGKILL');
  // Whoever still writes would keep the directory from being empty.
  for (const identity of left) await waitForEnd(identity, 5_000);
  await rm(dir, { recursive: true, force: true, maxRetries: 5 });
}

/** Processes as `dev.json` has them now. */
export function readProcesses(dir: string): Readonly<Record<string, { pid: number; startTicks: string }>> {
  const file = join(dir, 'dev.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { processes: Record<string, { pid: number; startTicks: string }> }).processes : {};
}

/** Whether the process is there and not a zombie. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
