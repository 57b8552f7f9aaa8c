import { writeSync } from 'node:fs';
import { version } from '../runtime/version.ts';
import { runCommandLine } from './run.ts';

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
// A reader that closed the pipe (`| head`) has what it wanted.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

/** At once, so that the lines of a command and of what it started stand in order. A terminal that is gone is no reason to stop. */
const note = (line: string): void => draw(`${line}\n`);
function draw(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // EIO, EPIPE, or EAGAIN on a full pipe: progress is lost, data is not.
  }
}

const written: Promise<void>[] = [];
const exitCode = await runCommandLine(
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
);
// Exits by itself, since a connection that is kept alive would hold the process for seconds; but not before a pipe took everything.
await Promise.all(written);
process.exit(exitCode);
