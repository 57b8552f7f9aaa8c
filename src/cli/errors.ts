import { FairleadError, type Reason } from '../domain/failure.ts';

/** What a command ends with; `exitCodeOf` in the domain has those of a run. */
export const exitCodes = { done: 0, failed: 1, cancelled: 2, refused: 3, notAllowed: 4, rolledBack: 5, stranded: 6, stillRunning: 8, usage: 64 } as const;

/** Ends the command with a message, what to do about it, and an exit code. */
export class CommandFailure extends Error {
  readonly exitCode: number;
  readonly hint: string | null;

  constructor(exitCode: number, message: string, hint: string | null = null, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'CommandFailure';
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

export const usageError = (message: string, hint: string | null = null): CommandFailure => new CommandFailure(exitCodes.usage, message, hint);

/** The lines for standard error, and the exit code, of whatever a command threw. A defect of Fairlead itself keeps its stack. */
export function describeFailure(error: unknown): { lines: string[]; exitCode: number } {
  if (error instanceof CommandFailure) return { lines: [`fairlead: ${error.message}`, ...hintLines(error.hint)], exitCode: error.exitCode };
  if (error instanceof FairleadError) {
    return { lines: [`fairlead: ${error.message}`, ...hintLines(error.reason.hint ?? null)], exitCode: exitCodeOfReason(error.reason) };
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'string' && /^E[A-Z]+$/.test(error.code)) {
    return { lines: [`fairlead: ${error.message}`], exitCode: exitCodes.failed };
  }
  return { lines: [`fairlead: unexpected: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`], exitCode: exitCodes.failed };
}

function exitCodeOfReason({ code, class: failureClass }: Reason): number {
  if (code === 'config_invalid' || code === 'usage') return exitCodes.usage;
  // A bundle or a manifest that is turned down is a refusal here as it is where the API turns it down.
  return failureClass === 'request' || /^(bundle|manifest)_/.test(code) ? exitCodes.refused : exitCodes.failed;
}

const hintLines = (hint: string | null): string[] => (hint === null ? [] : hint.split('\n').map((line) => `  ${line}`));
