import { CommanderError, type Command } from 'commander';
import type { Context } from './context.ts';
import { describeFailure, exitCodes } from './errors.ts';

/**
 * Runs one command line.
 * @param argv without node and script
 * @param createProgram every command that there is here: a node's release has fewer
 * @returns the exit code
 */
export async function runProgram(argv: readonly string[], context: Omit<Context, 'exitWith'>, version: string, createProgram: (context: Context, version: string) => Command): Promise<number> {
  let exitCode: number = exitCodes.done;
  const program = createProgram({ ...context, exitWith: (code) => (exitCode = code) }, version);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    // Commander has printed its message or the help by now.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    const failure = describeFailure(error);
    for (const line of failure.lines) context.note(line);
    return failure.exitCode;
  }
}
