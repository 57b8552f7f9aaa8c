/** What is asked of an external updater: one of the routes of /api/updates. */
export interface UpdaterQuestion {
  readonly method: 'GET' | 'POST';
  /** The last part of the path: `check`, `apply`. */
  readonly what: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  /** Where it is given, asking twice does once, so that an answer that was lost is asked for again; null where a second question could do a second thing. */
  readonly idempotencyKey: string | null;
}

export interface UpdaterAnswer {
  readonly status: number;
  /** What the answer's JSON says. */
  readonly body: unknown;
}

/** A service that does updates instead of Fairlead. */
export interface Updater {
  /**
   * @returns answers with a status below 400, and refusals (4xx) of the request itself
   * @throws FairleadError `updater_slow`, `updater_unreachable`, `updater_failed` (5xx, or it refuses our own token), `updater_answer_invalid` (no JSON, too long)
   */
  ask(question: UpdaterQuestion, cancel: AbortSignal): Promise<UpdaterAnswer>;
}
