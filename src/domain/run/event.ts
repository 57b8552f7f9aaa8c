import type { RunId } from '../ids.ts';

/** A line of a run's story, kept in PostgreSQL in order and streamed to whoever watches. */
export interface RunEvent {
  readonly runId: RunId;
  /** Counts from 1 within the run, without gaps; the id of the server-sent event. */
  readonly sequence: number;
  readonly at: string;
  readonly kind: 'run_started' | 'step_started' | 'step_ended' | 'undo_started' | 'waiting' | 'run_ended' | 'recovered' | 'rollout_changed' | 'rollout_progress';
  readonly step: string | null;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}
