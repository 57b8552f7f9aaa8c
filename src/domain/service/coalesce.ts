import type { InstanceName } from '../ids.ts';
import type { RestartRequest } from './request.ts';

/** When requests for a restart are gathered into one. Milliseconds. */
export interface GatheringPolicy {
  /** The restart begins when nobody has asked for this long, */
  readonly quietMs: number;
  /** and at the latest this long after the first who asked. */
  readonly longestMs: number;
}

export const defaultGathering: GatheringPolicy = { quietMs: 2_000, longestMs: 10_000 };

export type GatheringDecision = { readonly begin: true } | { readonly begin: false; readonly dueAt: number };

/**
 * Whether the restart begins now, or when to look again if nobody else asks until then. Pure.
 * @param askedAt when each request came, in any order; milliseconds of the epoch. Not empty.
 */
export function decideGathering(askedAt: readonly number[], now: number, { quietMs, longestMs }: GatheringPolicy = defaultGathering): GatheringDecision {
  const dueAt = Math.min(Math.max(...askedAt) + quietMs, Math.min(...askedAt) + longestMs);
  return now >= dueAt ? { begin: true } : { begin: false, dueAt };
}

/**
 * One request that does what all of them asked for: every instance that somebody named, all of them if somebody named none, and the longest bake time.
 * A request that was sent twice counts once.
 * @param requests in the order in which they came; not empty, all for the same service
 */
export function mergeRestarts(requests: readonly RestartRequest[]): RestartRequest {
  const distinct = requests.filter((request, index) => requests.findIndex((other) => other.requestId === request.requestId) === index);
  const first = distinct[0] as RestartRequest;
  const { instances: _instances, bakeSeconds: _bake, ...rest } = first;
  const named = distinct.some(({ instances }) => instances === undefined) ? null : [...new Set(distinct.flatMap(({ instances }) => instances as readonly InstanceName[]))].sort();
  // One that leaves the bake time to the manifest cannot be compared with one that does not: the manifest's holds for all.
  const bakes = distinct.map(({ bakeSeconds }) => bakeSeconds);
  const bakeSeconds = bakes.includes(undefined) ? undefined : Math.max(...(bakes as number[]));
  return {
    ...rest,
    ...(named === null ? {} : { instances: named }),
    ...(bakeSeconds === undefined ? {} : { bakeSeconds }),
    requestedBy: [...new Set(distinct.map(({ requestedBy }) => requestedBy))].join(', '),
  };
}
