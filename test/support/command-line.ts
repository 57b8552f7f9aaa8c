import { runCommandLine } from '../../src/cli/run.ts';

export interface CommandResult {
  readonly code: number;
  readonly out: string;
  readonly notes: string;
}

/** Runs a command line within this process, with nothing of its environment. */
export async function command(argv: readonly string[], options: { env?: Record<string, string>; cwd?: string; interrupted?: AbortSignal; onNote?: (line: string) => void } = {}): Promise<CommandResult> {
  let out = '';
  const notes: string[] = [];
  const code = await runCommandLine(
    argv,
    {
      env: options.env ?? {},
      cwd: options.cwd ?? '/nowhere',
      out: (text) => (out += text),
      note: (line) => {
        notes.push(line);
        options.onNote?.(line);
      },
      terminal: false,
      draw: () => undefined,
      interrupted: options.interrupted ?? new AbortController().signal,
    },
    '0.0.0-test',
  );
  return { code, out, notes: notes.join('\n') };
}
