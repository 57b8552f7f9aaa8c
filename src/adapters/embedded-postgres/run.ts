import { spawn } from 'node:child_process';
import type { Account } from './account.ts';

/**
 * Runs a program as another user, which the command runner of the host does not do. Both streams are returned as one text; `code` is null
 * where it could not be started or took longer than two minutes.
 */
export function runToEnd(argv: readonly string[], account: Account | null = null, env?: Readonly<Record<string, string>>): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(argv[0]!, argv.slice(1), {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 120_000,
      killSignal: 'SIGKILL',
      ...(env === undefined ? {} : { env: env as NodeJS.ProcessEnv }),
      ...(account === null ? {} : { uid: account.uid, gid: account.gid }),
    });
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
    child.once('error', (error) => resolve({ code: null, output: error.message }));
    child.once('close', (code) => resolve({ code, output }));
  });
}
