/** What an activity gets beside its input: how to tell progress and how to hear of a cancel. */
export interface ActivityContext {
  /** Aborts when the run was cancelled, the attempt was given up by the server, or the agent is told to stop. */
  readonly cancel: AbortSignal;
  /** Keeps the attempt alive and tells how far it is; cheap, may be called often. */
  readonly progress: (details: unknown) => void;
  readonly attempt: number;
}
