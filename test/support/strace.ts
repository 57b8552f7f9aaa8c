import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Calls that change files, find them, or make them durable, in their plain and their `at` forms. Not `write`: the thread wakes others by it, so
 * that its count varies, and a job without those dies of itself. A full disk stands in for it.
 */
const disturbed = /^(open|creat|symlink|link|rename|unlink|rmdir|mkdir|readlink|f?chmod|f?truncate|fsync|fdatasync|getdents|newfstatat|l?stat|statx)(at|at2|2|64)?$/;

/** One system call of a job: which, and the how manieth of its name. strace(1) counts each name by itself. */
export interface SystemCall {
  readonly name: string;
  readonly nth: number;
}

/** A program that does its work when it is told to, and waits otherwise, so that strace sees the work alone. */
export interface Job {
  /** Tells it to do its work, while strace does `tamper` to it. Gives its answer, or null where it was killed. */
  work(line: string, tamper?: { readonly call: SystemCall; readonly inject: 'signal=KILL' | `error=${string}` }): Promise<string | null>;
  /** The system calls that the work makes and that can be disturbed, in order. */
  trace(line: string): Promise<SystemCall[]>;
  end(): Promise<void>;
}

/** Starts a Node program that reads lines and answers each with one; its first line says that it is ready. Its file system calls are made by one thread. */
export async function startJob(argv: readonly string[]): Promise<Job> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...argv], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, UV_THREADPOOL_SIZE: '1' } });
  const ended = new Promise<null>((resolve) => child.once('exit', () => resolve(null)));
  const answer = (): Promise<string | null> => Promise.race([ended, new Promise<string>((resolve) => child.stdout.once('data', (text: Buffer) => resolve(text.toString('utf8').trim())))]);
  if ((await answer()) !== 'ready') throw new Error(`${argv.join(' ')} did not start`);
  const thread = await poolThread(child.pid as number);

  async function under<Result>(options: readonly string[], work: () => Promise<Result>): Promise<Result> {
    const strace = spawn('strace', ['-p', String(thread), ...options], { stdio: ['ignore', 'ignore', 'pipe'] });
    const gone = new Promise<void>((resolve) => strace.once('exit', () => resolve()));
    await untilTraced(strace, gone);
    try {
      return await work();
    } finally {
      strace.kill('SIGINT');
      await gone;
    }
  }
  const ask = (line: string): Promise<string | null> => {
    const answered = answer();
    child.stdin.write(`${line}\n`);
    return answered;
  };
  return {
    async work(line, tamper) {
      if (!tamper) return ask(line);
      const { name, nth } = tamper.call;
      return under(['-o', '/dev/null', '-e', `trace=${name}`, '-e', `inject=${name}:${tamper.inject}:when=${nth}`], () => ask(line));
    },
    async trace(line) {
      const directory = await fs.mkdtemp(join(tmpdir(), 'fairlead-strace-'));
      try {
        const file = join(directory, 'calls');
        const answered = await under(['-o', file, '-e', 'trace=%file,%desc'], () => ask(line));
        if (answered !== 'null') throw new Error(`the job failed without being disturbed: ${answered}`);
        const seen = new Map<string, number>();
        return (await fs.readFile(file, 'utf8')).split('\n').flatMap((text) => {
          const name = /^(\w+)\(/.exec(text)?.[1];
          if (name === undefined || !disturbed.test(name)) return [];
          seen.set(name, (seen.get(name) ?? 0) + 1);
          return [{ name, nth: seen.get(name) as number }];
        });
      } finally {
        await fs.rm(directory, { recursive: true, force: true });
      }
    },
    async end() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function poolThread(pid: number): Promise<number> {
  for (const task of await fs.readdir(`/proc/${pid}/task`)) {
    if ((await fs.readFile(`/proc/${pid}/task/${task}/comm`, 'utf8').catch(() => '')).trim() === 'libuv-worker') return Number(task);
  }
  throw new Error(`process ${pid} has no thread for its file system calls`);
}

/**
 * Waits until strace says that it is attached. The kernel shows a tracer (`TracerPid`) a moment before strace has stopped the thread, and what
 * the thread calls in that moment is neither counted nor disturbed.
 */
async function untilTraced(strace: ChildProcess, gone: Promise<void>): Promise<void> {
  let said = '';
  const attached = new Promise<boolean>((resolve) =>
    strace.stderr?.on('data', (text: Buffer) => {
      said += text.toString('utf8');
      if (/^strace: Process \d+ attached$/m.test(said)) resolve(true);
    }),
  );
  if (!(await Promise.race([attached, gone.then(() => false)]))) throw new Error(`strace did not attach: ${said}`);
}
