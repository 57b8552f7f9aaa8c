import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { LoadOptions, LoadResult } from '../../bench/support/load.ts';

export { startLoad } from '../../bench/support/load.ts';
export type { LoadOptions, LoadResult } from '../../bench/support/load.ts';

/**
 * The same clients in a process of their own: what the test itself does cannot slow them down. `begun` resolves when they ask; `stop` may be called again.
 */
export function startLoadProcess({ urls, postUrl, requestsPerSecond, connections = 20, postShare = 0, serverName }: Omit<LoadOptions, 'isExpected' | 'timeoutMs'>): { begun(): Promise<void>; stop(): Promise<LoadResult> } {
  const argv = [...urls.flatMap((url) => ['--url', url]), ...(postUrl === undefined ? [] : ['--post-url', postUrl]), ...(serverName === undefined ? [] : ['--server-name', serverName]), '--rate', String(requestsPerSecond), '--connections', String(connections), '--post-share', String(postShare)];
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../bench/support/load.ts'), ...argv], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
  const ended = once(child, 'close');
  let stopped: Promise<LoadResult> | null = null;
  /** One that does not listen to signals yet would end without a word. */
  const begun = async (): Promise<void> => {
    while (said === '' && child.exitCode === null && !(await started(child.pid))) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  return {
    begun,
    stop() {
      stopped ??= (async () => {
        await begun();
        child.kill('SIGTERM');
        await ended;
        return JSON.parse(said) as LoadResult;
      })();
      return stopped;
    },
  };
}

/** Whether the process has a socket besides its standard streams. That it catches SIGTERM (proc(5), SigCgt) says nothing: Node does so before it reads a program. */
async function started(pid: number | undefined): Promise<boolean> {
  const { readdir, readlink } = await import('node:fs/promises');
  const open = await readdir(`/proc/${pid}/fd`).catch(() => null);
  if (open === null) return true;
  const leads = await Promise.all(open.filter((name) => Number(name) > 2).map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => '')));
  return leads.some((to) => to.startsWith('socket:'));
}
