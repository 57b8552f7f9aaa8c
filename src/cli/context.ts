/** What a command may touch of the process: everything else it gets as options. Tests give their own. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Data. */
  readonly out: (text: string) => void;
  /** Everything else: progress, warnings, what to type next. */
  readonly note: (line: string) => void;
  /** Whether a person looks at a terminal that can be drawn on. */
  readonly terminal: boolean;
  /** Draws on the terminal, beside the data. */
  readonly draw: (text: string) => void;
  /** Aborted by Ctrl-C and SIGTERM: following detaches, servers end. */
  readonly interrupted: AbortSignal;
  /** Sets the exit code of a command that did what it was asked to and still has something to tell by it. */
  readonly exitWith: (code: number) => void;
}

/** One JSON value on standard output, for programs. */
export function printJson(context: Context, value: unknown): void {
  context.out(`${JSON.stringify(value, null, 2)}\n`);
}
