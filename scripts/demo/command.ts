import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface CommandEnd {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly tookMs: number;
}

/** Runs a program to its end, and hands on each line of its standard error as it comes. @throws AbortError when `cancel` fires; the program is ended */
export function runCommand(argv: readonly string[], env: NodeJS.ProcessEnv, cancel: AbortSignal, onLine: (line: string) => void = () => undefined): Promise<CommandEnd> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0] as string, argv.slice(1), { env, stdio: ['ignore', 'pipe', 'pipe'], signal: cancel });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    createInterface({ input: child.stderr }).on('line', (line) => {
      stderr += `${line}\n`;
      onLine(line);
    });
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, stdout, stderr, tookMs: performance.now() - began }));
  });
}
