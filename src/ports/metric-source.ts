/** Asks a Prometheus server (HTTP API, `/api/v1/query`) for one number. */
export interface MetricSource {
  /** The value of an instant query; null where it gives none, more than one, or cannot be asked: that is no data, neither good nor bad. */
  query(url: string, query: string, cancel: AbortSignal): Promise<number | null>;
}
