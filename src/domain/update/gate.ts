import type { InstanceName } from '../ids.ts';
import type { CanaryDeclaration } from '../product/manifest.ts';

/** What the router saw of one instance while a tier was held. */
export interface InstanceTraffic {
  readonly instance: InstanceName;
  readonly requests: number;
  readonly errors: number;
  readonly p95Ms: number | null;
}

export interface TierFigures {
  /** Null: the router could not tell. */
  readonly traffic: readonly InstanceTraffic[] | null;
  /** Null: the query gave no value. Not read where the manifest asks none. */
  readonly metric: number | null;
  /** By the host's clock, ISO 8601. Left out by agents before it was told. */
  readonly measuredAt?: string;
}

export type Judgement =
  | { readonly verdict: 'pass'; readonly note: string }
  | { readonly verdict: 'fail'; readonly code: 'canary_errors' | 'canary_latency' | 'canary_metric'; readonly note: string }
  /** Neither good nor bad: the tier goes on until there is something to judge. */
  | { readonly verdict: 'no_data'; readonly note: string };

/**
 * Judges what a tier has seen so far. Pure.
 * @param to the instances of the new release; all others are the old one's.
 */
export function judgeTier(figures: TierFigures, to: readonly InstanceName[], gate: CanaryDeclaration): Judgement {
  if (figures.traffic === null) return { verdict: 'no_data', note: 'the router could not tell what went through' };
  const fresh = sumOf(figures.traffic.filter(({ instance }) => to.includes(instance)));
  const old = sumOf(figures.traffic.filter(({ instance }) => !to.includes(instance)));
  const total = fresh.requests + old.requests;
  const note = `${fresh.requests} of ${total} requests (${total === 0 ? '0' : ((100 * fresh.requests) / total).toFixed(1)} %) went to the new release, ${fresh.errors} failed, p95 ${shown(fresh.p95Ms)} beside ${shown(old.p95Ms)}`;
  const rate = fresh.requests === 0 ? 0 : fresh.errors / fresh.requests;
  // A failure has to be more than one unlucky request, but need not wait for the whole sample.
  if (fresh.errors > 1 && fresh.errors > gate.maxErrorRate * Math.max(fresh.requests, gate.minRequests)) {
    return { verdict: 'fail', code: 'canary_errors', note: `${note}: ${(100 * rate).toFixed(1)} % failed, ${(100 * gate.maxErrorRate).toFixed(1)} % are allowed` };
  }
  if (fresh.requests < gate.minRequests) return { verdict: 'no_data', note: `${note}; ${gate.minRequests} to the new release are needed` };
  if (rate > gate.maxErrorRate) return { verdict: 'fail', code: 'canary_errors', note: `${note}: ${(100 * rate).toFixed(1)} % failed, ${(100 * gate.maxErrorRate).toFixed(1)} % are allowed` };
  // Below ten milliseconds a ratio compares noise.
  if (gate.maxLatencyRatio !== null && fresh.p95Ms !== null && old.p95Ms !== null && fresh.p95Ms > 10 && fresh.p95Ms > gate.maxLatencyRatio * old.p95Ms) {
    return { verdict: 'fail', code: 'canary_latency', note: `${note}: more than ${gate.maxLatencyRatio} times` };
  }
  if (gate.metric === null) return { verdict: 'pass', note };
  if (figures.metric === null) return { verdict: 'no_data', note: `${note}; the query gave no value: ${gate.metric.query}` };
  const measured = `${note}; ${gate.metric.query} is ${figures.metric}`;
  return figures.metric <= gate.metric.max ? { verdict: 'pass', note: measured } : { verdict: 'fail', code: 'canary_metric', note: `${measured}, at most ${gate.metric.max} is allowed` };
}

function sumOf(traffic: readonly InstanceTraffic[]): { requests: number; errors: number; p95Ms: number | null } {
  const known = traffic.flatMap(({ p95Ms }) => (p95Ms === null ? [] : [p95Ms]));
  return {
    requests: traffic.reduce((sum, { requests }) => sum + requests, 0),
    errors: traffic.reduce((sum, { errors }) => sum + errors, 0),
    // The slowest instance speaks for its release: an average would hide it.
    p95Ms: known.length === 0 ? null : Math.max(...known),
  };
}

const shown = (ms: number | null): string => (ms === null ? '(none)' : `${Math.round(ms)} ms`);
