import { execa } from 'execa';
import { findByEnvironment, signalProcess, waitForEnd } from './proc.ts';
import { quoteForShell } from '../../domain/shell-word.ts';
import type { CommandOptions, CommandResult, CommandRunner } from '../../ports/command-runner.ts';

/** How long a command has between SIGTERM and SIGKILL. */
const killDelayMs = 2_000;
const defaultMaxOutputBytes = 256 * 1024;

/**
 * Runs programs, each in a process group of its own. At the limit, or when cancelled, the whole group gets SIGTERM and two seconds later
 * SIGKILL. A descendant that made a group of its own (a daemon) is not reached, and its hold on the output does not delay the result
 * beyond the limit. Output is decoded as UTF-8; of each stream the last `maxOutputBytes` (default 256 KiB) are kept.
 */
export function createCommandRunner(): CommandRunner {
  return { run };
}

async function run(argv: readonly string[], options: CommandOptions): Promise<CommandResult> {
  const startedAt = performance.now();
  const ended = (end: Partial<CommandResult>, why: string): CommandResult => {
    const result = { exitCode: null, signal: null, timedOut: false, stdout: '', stderr: '', ...end };
    return { ...result, summary: summarize(argv, why, performance.now() - startedAt, result.stderr || result.stdout) };
  };
  const [file, ...rest] = argv;
  if (file === undefined) return ended({}, 'was not run: the argument list is empty');
  if (options.cancel?.aborted) return ended({}, 'was not run: cancelled before its start');

  if (options.only) await endLeftovers(options.only);
  let child: ReturnType<typeof spawn>;
  try {
    child = spawn(file, rest, options);
  } catch (error) {
    return ended({}, `could not be started: ${(error as Error).message}`);
  }
  const stdout = keepTail(child.stdout, options.maxOutputBytes ?? defaultMaxOutputBytes);
  const stderr = keepTail(child.stderr, options.maxOutputBytes ?? defaultMaxOutputBytes);

  let stopped: 'timeout' | 'cancel' | null = null;
  let killed: Promise<void> | null = null;
  const stop = (cause: 'timeout' | 'cancel') => {
    stopped ??= cause;
    killed ??= endGroup(child);
  };
  const limit = setTimeout(() => stop('timeout'), options.timeoutMs);
  const onCancel = () => stop('cancel');
  options.cancel?.addEventListener('abort', onCancel, { once: true });
  const result = await child;
  clearTimeout(limit);
  options.cancel?.removeEventListener('abort', onCancel);
  await killed;

  const end = { exitCode: result.exitCode ?? null, signal: result.signal ?? null, stdout: stdout(), stderr: stderr() };
  if (stopped === 'timeout') return ended({ ...end, exitCode: null, timedOut: true }, `was ended at its limit of ${options.timeoutMs} ms`);
  if (stopped === 'cancel') return ended({ ...end, exitCode: null }, 'was cancelled');
  if (end.exitCode === 0) return ended(end, 'exited with 0');
  if (end.exitCode !== null) return ended(end, `exited with ${end.exitCode}`);
  if (end.signal !== null) return ended(end, `was ended by ${end.signal}`);
  return ended(end, `could not be started: ${result.originalMessage ?? result.shortMessage ?? 'unknown cause'}`);
}

function spawn(file: string, rest: readonly string[], options: CommandOptions) {
  return execa(file, rest, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...options.env, ...options.only },
    extendEnv: options.extendEnv ?? true,
    ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
    stdout: 'pipe' as const,
    stderr: 'pipe' as const,
    buffer: false,
    reject: false,
    killDescendants: true,
    forceKillAfterDelay: false,
  });
}

/** What a killed caller left running. It answers to nobody any more, so it is not asked to end. */
async function endLeftovers(marks: Readonly<Record<string, string>>): Promise<void> {
  const left = await findByEnvironment(marks);
  for (const process of left) await signalProcess(process, 'SIGKILL');
  for (const process of left) await waitForEnd(process, 5_000);
}

/** SIGTERM, SIGKILL, and then no more waiting for pipes that a process outside of the group may hold open. */
async function endGroup(child: ReturnType<typeof spawn>): Promise<void> {
  const deadline = performance.now() + killDelayMs;
  signalGroup(child.pid, 'SIGTERM');
  while (signalGroup(child.pid, 0) && performance.now() < deadline) await pause(20);
  // A member that is a zombie still counts as there; the second signal costs it nothing.
  signalGroup(child.pid, 'SIGKILL');
  await pause(50);
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.stdin?.destroy();
}

/** Whether the group still has a member. Its number stays reserved while it has one, so that no stranger is hit. */
function signalGroup(pid: number | undefined, signal: NodeJS.Signals | 0): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}

function keepTail(stream: NodeJS.ReadableStream | null, maxBytes: number): () => string {
  let chunks: Buffer[] = [];
  let total = 0;
  stream?.on('error', () => {}); // A destroyed pipe is no news: the result already says why.
  stream?.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    total += chunk.length;
    if (total > 2 * maxBytes) {
      chunks = [Buffer.concat(chunks).subarray(-maxBytes)];
      total = maxBytes;
    }
  });
  return () => Buffer.concat(chunks).subarray(-maxBytes).toString('utf8');
}

function summarize(argv: readonly string[], why: string, tookMs: number, output: string): string {
  const lastLine = output.trimEnd().split('\n').at(-1)?.trim() ?? '';
  const tail = why === 'exited with 0' || lastLine === '' ? '' : `: ${cut(lastLine, 400)}`;
  return `${cut(argv.map(quoteWord).join(' '), 300)} ${why.replaceAll(/\s*\n\s*/g, ' ')} after ${Math.round(tookMs)} ms${tail}`;
}

const quoteWord = (word: string) => (/^[\w@%+=:,./-]+$/.test(word) ? word : quoteForShell(word));
const cut = (text: string, length: number) => (text.length <= length ? text : `${text.slice(0, length - 1)}…`);
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
