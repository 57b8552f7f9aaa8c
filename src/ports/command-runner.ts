/** How a command ended. Output is cut to its last `maxOutputBytes`. */
export interface CommandResult {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
  /** In one readable line: the command, how it ended, and why. */
  readonly summary: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** False starts from an empty environment. Default true. */
  readonly extendEnv?: boolean;
  readonly timeoutMs: number;
  readonly cancel?: AbortSignal;
  /**
   * Pairs of the environment that no other command has. Processes that still run with them were left by a caller that was killed; they are ended, and
   * gone, before this one starts: the same work is never done twice at once.
   */
  readonly only?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly maxOutputBytes?: number;
}

/** The only way in which Fairlead runs programs on a host. */
export interface CommandRunner {
  /** Never throws for a command that failed or could not be found: that is a result (`exitCode` null). Ends the command's whole process group at the limit. */
  run(argv: readonly string[], options: CommandOptions): Promise<CommandResult>;
}
