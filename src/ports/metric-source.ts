export interface MetricAnswer {
  /** Null where the query gives none, more than one, or cannot be asked: that is no data, neither good nor bad. */
  readonly value: number | null;
  /** Why there is none, where it is not the query that gave none: `address refused: …`, `no answer: …`. */
  readonly why: string | null;
}

/** Asks a Prometheus server (HTTP API, `/api/v1/query`) for one number. */
export interface MetricSource {
  /** The value of an instant query. */
  query(url: string, query: string, cancel: AbortSignal): Promise<MetricAnswer>;
}
