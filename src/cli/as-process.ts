import { writeSync } from 'node:fs';
import type { Command } from 'commander';
import { version } from '../runtime/version.ts';
import type { Context } from './context.ts';
import { runProgram } from './run-program.ts';

/** This process is one command line: its arguments, its streams, its signals, its exit code. */
export async function runAsProcess(createProgram: (context: Context, version: string) => Command): Promise<never> {
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  // A reader that closed the pipe (`| head`) has what it wanted.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

  const written: Promise<void>[] = [];
  const exitCode = await runProgram(
    process.argv.slice(2),
    {
      env: process.env,
      cwd: process.cwd(),
      out: (text) => void written.push(new Promise((resolve) => process.stdout.write(text, () => resolve()))),
      note,
      terminal: process.stderr.isTTY === true,
      draw,
      interrupted: interrupted.signal,
    },
    version,
    createProgram,
  );
  // Exits by itself, since a connection that is kept alive would hold the process for seconds; but not before a pipe took everything.
  await Promise.all(written);
  process.exit(exitCode);
}

/** At once, so that the lines of a command and of what it started stand in order. A terminal that is gone is no reason to stop. */
function draw(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // EIO, EPIPE, or EAGAIN on a full pipe: progress is lost, data is not.
  }
}
const note = (line: string): void => draw(`${line}\n`);
