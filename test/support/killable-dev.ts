import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { DevOptions, DevSummary, RunningDev } from '../../src/runtime/dev/index.ts';
import { isRunning, readProcesses } from './dev.ts';

/**
 * A development instance whose supervisor is a process of its own. `kill` ends the supervisor and all that it started, the supervisor first, with SIGKILL
 * and at one moment; what runs on the hosts (instances, routers) is left, as when a control plane dies. After it, `stop` does nothing.
 */
export async function startDevProgram({ dir, hosts, controllers, env, replace, say }: DevOptions): Promise<RunningDev> {
  const argument = JSON.stringify({ dir, hosts, ...(controllers ? { controllers } : {}), ...(replace ? { replace } : {}) });
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'programs/dev.ts'), argument], { env: env as NodeJS.ProcessEnv, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let notes = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    notes += text;
    for (const line of text.trimEnd().split('\n')) say(line);
  });
  const summary = await new Promise<DevSummary>((resolve, reject) => {
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (stdout.endsWith('\n')) resolve(JSON.parse(stdout) as DevSummary);
    });
    child.once('error', reject);
    void ended.then(() => reject(new Error(`the development instance ended before it was ready:\n${notes}`)));
  });
  return {
    summary,
    pids: () => Object.fromEntries(Object.entries(readProcesses(dir)).map(([name, { pid }]) => [name, isRunning(pid) ? pid : null])),
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await ended;
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
      const left = Object.values(readProcesses(dir)).map(({ pid }) => pid);
      for (const pid of left) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
      while (left.some(isRunning)) await new Promise((resolve) => setTimeout(resolve, 10));
    },
  };
}
