import type { InstanceName, ServiceName } from '../../domain/ids.ts';
import type { TrafficFigures } from '../../ports/router.ts';

/** One request that was passed to one instance. A request that was passed to a second one after the first failed is two of them. */
export interface Attempt {
  readonly service: string;
  readonly instance: string;
  /** It was answered with a status of 500 to 599, or the instance gave no whole answer. */
  readonly failed: boolean;
  /** From the moment in which the instance could have the whole request until its answer was complete, or until the client left; null where nobody measured it. */
  readonly ms: number | null;
}

export interface InstanceTally {
  readonly service: string;
  requests: number;
  errors: number;
  /** How often each latency was seen, by the number of its bucket. */
  readonly prompt: Record<string, number>;
  /** The same for those above `heldMs`. */
  readonly held: Record<string, number>;
}

/** What can be added up: figures of two spans of time are those of both together, within 1 % of latency. By instance. */
export type Tally = Record<string, InstanceTally>;

/**
 * What takes longer than this is taken for held on purpose (a long poll, a stream of events, a large download): it counts as a request, and not
 * for latency. Where more than half of an instance's answers are like that, they do count: then it is slow, or holding is all that it does.
 */
export const heldMs = 10_000;

const step = Math.log(1.02);
const bucketOf = (ms: number): number => Math.max(0, Math.round(Math.log(Math.max(ms, 0.1) * 10) / step));
const latencyOf = (bucket: number): number => Math.round(Math.exp(bucket * step)) / 10;

export function addAttempt(tally: Tally, { service, instance, failed, ms }: Attempt): void {
  const own = (tally[instance] ??= { service, requests: 0, errors: 0, prompt: {}, held: {} });
  own.requests += 1;
  if (failed) own.errors += 1;
  else if (ms !== null) addTo(ms > heldMs ? own.held : own.prompt, bucketOf(ms), 1);
}

export function mergeTally(into: Tally, from: Tally): void {
  for (const [instance, other] of Object.entries(from)) {
    const own = (into[instance] ??= { service: other.service, requests: 0, errors: 0, prompt: {}, held: {} });
    own.requests += other.requests;
    own.errors += other.errors;
    for (const [bucket, count] of Object.entries(other.prompt)) addTo(own.prompt, bucket, count);
    for (const [bucket, count] of Object.entries(other.held)) addTo(own.held, bucket, count);
  }
}

/** Pure: the figures of `members`, and of whoever else is in the tally, by name. */
export function figuresOf(tally: Tally, members: readonly { readonly service: string; readonly instance: string }[]): TrafficFigures[] {
  const services = new Map([...Object.entries(tally).map(([instance, { service }]) => [instance, service] as const), ...members.map(({ instance, service }) => [instance, service] as const)]);
  return [...services]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([instance, service]) => {
      const own = tally[instance];
      return { service: service as ServiceName, instance: instance as InstanceName, requests: own?.requests ?? 0, errors: own?.errors ?? 0, latencyMs: own === undefined ? null : latencies(own) };
    });
}

function latencies({ prompt, held }: InstanceTally): TrafficFigures['latencyMs'] {
  const counted = new Map<number, number>();
  const take = (from: Record<string, number>) => Object.entries(from).forEach(([bucket, count]) => counted.set(Number(bucket), (counted.get(Number(bucket)) ?? 0) + count));
  take(prompt);
  if (total(held) > total(prompt)) take(held);
  const sorted = [...counted].sort(([a], [b]) => a - b);
  const all = sorted.reduce((sum, [, count]) => sum + count, 0);
  if (all === 0) return null;
  const percentile = (share: number): number => {
    let left = Math.ceil(share * all);
    for (const [bucket, count] of sorted) if ((left -= count) <= 0) return latencyOf(bucket);
    return latencyOf(sorted.at(-1)?.[0] ?? 0);
  };
  return { p50: percentile(0.5), p95: percentile(0.95), p99: percentile(0.99) };
}

const total = (counts: Record<string, number>): number => Object.values(counts).reduce((sum, count) => sum + count, 0);

function addTo(counts: Record<string, number>, bucket: number | string, count: number): void {
  counts[bucket] = (counts[bucket] ?? 0) + count;
}
