/** Counts for the metrics. */
export interface ControlStatistics {
  /** Runs by outcome; `running` counts those that have not ended. */
  runsByOutcome(): Promise<Readonly<Record<string, number>>>;
}
