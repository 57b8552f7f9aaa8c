import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isAlive, readProcess, signalProcess, waitForEnd } from '../adapters/process/proc.ts';
import type { ProcessIdentity } from '../adapters/process/proc.ts';
import { FairleadError } from '../domain/failure.ts';

/** A process that is to run until it is told to stop. */
export interface ProcessPlan {
  readonly name: string;
  /** Asked before each start, so that what changed in between counts. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly account?: { readonly uid: number; readonly gid: number } | null;
  /** Both streams are appended to it; null leaves them on this process's standard error. */
  readonly logFile: string | null;
  readonly stopSignal: 'SIGTERM' | 'SIGINT';
  readonly stopLimitMs: number;
}

export interface Supervised {
  readonly plan: ProcessPlan;
  readonly identity: () => ProcessIdentity | null;
  /** How often it was started again. */
  readonly restarts: () => number;
  /** Ends it for good: stop signal, limit, SIGKILL. Resolves when it is gone. Idempotent. */
  stop(): Promise<void>;
  /** Ends it for good and at once. */
  kill(): Promise<void>;
  /**
   * Resolves once `lacks` answers null, asked again and again.
   * @throws FairleadError `process_not_ready` at the limit, or as soon as the process gave up by itself (an exit code, not a signal), with the end of its log
   */
  untilReady(lacks: () => Promise<string | null>, limitMs: number, cancel?: AbortSignal): Promise<void>;
}

export interface SuperviseOptions {
  /** Called after every start, before anything else is done, so that a successor of this process can find it. */
  readonly started: (identity: ProcessIdentity) => void | Promise<void>;
  /** A line for people: it ended, and when it is started again. */
  readonly say: (line: string) => void;
}

const firstPauseMs = 100;
const longestPauseMs = 2_000;
/** Who was ended by SIGKILL did not fail by itself: a person, a test or the kernel ended it, and it is wanted back soon. */
const longestPauseAfterKillMs = 400;
/** Who lived this long is not failing at its start: the pauses begin anew. */
const settledMs = 1_500;

/**
 * Starts a process in a session of its own, so that a Ctrl-C of the terminal does not reach it and its end can be ordered, and starts it
 * again whenever it ends by itself, with growing pauses.
 */
export async function supervise(plan: ProcessPlan, { started, say }: SuperviseOptions): Promise<Supervised> {
  let identity: ProcessIdentity | null = null;
  let stopping: Promise<void> | null = null;
  let restarts = 0;
  let pauseMs = firstPauseMs;
  let lastExit: { code: number | null; why: string } | null = null;
  let ended: Promise<void> = Promise.resolve();
  const wake = new AbortController();
  /** The start that is under way: whoever ends the process has to wait until it is known which one that is. */
  let starting: Promise<void> = Promise.resolve();

  const start = async (): Promise<void> => {
    const { child, pid } = await spawnInSession(plan);
    const startedAt = performance.now();
    let onEnd!: () => void;
    ended = new Promise((resolve) => (onEnd = resolve));
    const exit = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
    // One that is gone already has no start time any more; its exit event follows.
    identity = await readProcess(pid).then((stat) => (stat === null ? null : { pid, startTicks: stat.startTicks }));
    if (identity !== null) await started(identity);
    void exit.then(({ code, signal }) => {
      identity = null;
      onEnd();
      lastExit = { code, why: code === null ? `was ended by ${signal}` : `ended with exit code ${code}` };
      if (stopping !== null) return;
      if (performance.now() - startedAt > settledMs) pauseMs = firstPauseMs;
      if (signal === 'SIGKILL') pauseMs = Math.min(pauseMs, longestPauseAfterKillMs);
      say(`${plan.name} ${lastExit.why}; starting it again in ${pauseMs / 1000} s${plan.logFile === null ? '' : ` (log: ${plan.logFile})`}`);
      void startAgain();
    });
  };

  const startAgain = async (): Promise<void> => {
    for (;;) {
      try {
        await pause(pauseMs, undefined, { signal: wake.signal });
      } catch {
        return;
      }
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
      if (stopping !== null) return;
      try {
        restarts += 1;
        starting = start();
        await starting;
        return;
      } catch (error) {
        say(`${plan.name} could not be started: ${error instanceof Error ? error.message : String(error)}; trying again in ${pauseMs / 1000} s`);
      }
    }
  };

  await start();
  return {
    plan,
    identity: () => identity,
    restarts: () => restarts,
    stop() {
      stopping ??= (async () => {
        wake.abort();
        await starting.catch(() => undefined);
        const running = identity;
        if (running === null) return;
        await endProcess(running, plan.stopSignal, plan.stopLimitMs);
        await ended;
      })();
      return stopping;
    },
    async kill() {
      wake.abort();
      stopping ??= Promise.resolve();
      await starting.catch(() => undefined);
      if (identity !== null) await signalProcess(identity, 'SIGKILL');
      await ended;
    },
    async untilReady(lacks, limitMs, cancel) {
      const deadline = performance.now() + limitMs;
      for (;;) {
        cancel?.throwIfAborted();
        const lacking = await lacks();
        if (lacking === null) return;
        const gaveUp = lastExit !== null && lastExit.code !== null;
        if (!gaveUp && performance.now() < deadline) {
          await pause(50);
          continue;
        }
        const lines = plan.logFile === null ? '' : await lastLines(plan.logFile, 15);
        throw new FairleadError({
          class: 'host',
          code: 'process_not_ready',
          message: `${plan.name} ${gaveUp ? `${lastExit?.why} before it was ready` : `was not ready within ${limitMs / 1000} s: ${lacking}`}${lines === '' ? '' : `\n${lines}`}`,
          hint: plan.logFile === null ? undefined : `its log is ${plan.logFile}`,
        });
      }
    },
  };
}

/** Ends exactly this process: the signal, then SIGKILL at the limit. Resolves when it is gone. A process of another user or boot is left alone. */
export async function endProcess(identity: ProcessIdentity, signal: 'SIGTERM' | 'SIGINT' | 'SIGQUIT', limitMs: number): Promise<'gone' | 'ended' | 'killed'> {
  if (!(await isAlive(identity))) return 'gone';
  await signalProcess(identity, signal);
  // A stopped process does not see the signal until it goes on.
  await signalProcess(identity, 'SIGCONT');
  if (await waitForEnd(identity, limitMs)) return 'ended';
  await signalProcess(identity, 'SIGKILL');
  await waitForEnd(identity, 10_000);
  return 'killed';
}

/** The last lines of a text file; empty where it cannot be read. */
export async function lastLines(path: string, lines: number): Promise<string> {
  try {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      const length = Math.min(size, 64 * 1024);
      const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length);
      return buffer.toString('utf8').trimEnd().split('\n').slice(-lines).map((line) => `  | ${line}`).join('\n');
    } finally {
      await handle.close();
    }
  } catch {
    return '';
  }
}

function spawnInSession(plan: ProcessPlan): Promise<{ child: ChildProcess; pid: number }> {
  if (plan.logFile !== null) mkdirSync(dirname(plan.logFile), { recursive: true });
  // To a file and not through a pipe: the process must not notice when this one is killed.
  const log = plan.logFile === null ? 2 : openSync(plan.logFile, 'a', 0o640);
  try {
    const child = spawn(plan.command[0]!, plan.command.slice(1), {
      detached: true,
      cwd: '/',
      stdio: ['ignore', log, log],
      env: plan.env as NodeJS.ProcessEnv,
      ...(plan.account == null ? {} : { uid: plan.account.uid, gid: plan.account.gid }),
    });
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('spawn', () => resolve({ child, pid: child.pid! }));
    });
  } finally {
    if (log !== 2) closeSync(log);
  }
}
