import type { Context } from './context.ts';
import { createProgram } from './program.ts';
import { runProgram } from './run-program.ts';

/**
 * Runs one command line of the whole Fairlead.
 * @param argv without node and script
 * @returns the exit code
 */
export const runCommandLine = (argv: readonly string[], context: Omit<Context, 'exitWith'>, version: string): Promise<number> => runProgram(argv, context, version, createProgram);
