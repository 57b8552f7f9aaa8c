import type { ArtifactRef } from '../bundle/artifact.ts';
import type { Reason } from '../failure.ts';
import type { HostId, ProductName, ReleaseId, Sha256 } from '../ids.ts';
import type { Waiting } from '../run/report.ts';

/** A bundle that somebody wants to have on a host ahead of its update. */
export interface PrefetchRequest {
  readonly host: HostId;
  readonly product: ProductName;
  readonly artifact: ArtifactRef;
  readonly requestedBy: string;
  readonly requestId: string;
}

/** What came of asking for one. */
export interface PrefetchStart {
  readonly workflowId: string;
  /** The same bundle was on its way already. */
  readonly joined: boolean;
  /** The release whose bundle was on its way, and is no more; null where there was none. */
  readonly replaced: ReleaseId | null;
}

/** How it ended. */
export interface PrefetchEnd {
  readonly outcome: 'fetched' | 'failed';
  /** The size of what lies on the host; 0 where it failed, or where the release stands there unpacked. */
  readonly bytes: number;
  readonly reason: Reason | null;
}

/** Where the prefetch that was asked for last stands. `fetched` is what it ended with: an update to another release since then has removed what it did not need. */
export interface PrefetchStanding {
  readonly workflowId: string;
  readonly releaseId: ReleaseId;
  readonly sha256: Sha256;
  readonly sizeBytes: number;
  readonly requestedBy: string;
  readonly requestedAt: string;
  readonly endedAt: string | null;
  /** `waiting`: for the host, or for its next attempt. */
  readonly state: 'waiting' | 'running' | PrefetchEnd['outcome'];
  /** What the host told last; null before it began. */
  readonly progress: { readonly what: string; readonly done: number; readonly total: number } | null;
  readonly waiting: Waiting | null;
  /** Why it failed. */
  readonly reason: Reason | null;
}

/** How long a host may take: one that is away for longer is asked again by whoever still wants it. */
export const prefetchLimitMs = 24 * 3_600_000;

/**
 * What a prefetch waits for where its host does not work on it.
 * @param who control before it has asked the host, and once that has answered @param since when it was asked for @param lastError of the attempt before; null before the first one
 */
export function prefetchWaiting(who: 'host' | 'control', host: HostId, since: string, lastError: string | null): Waiting {
  const what = who === 'control' ? 'control to take it up' : lastError === null ? `host ${host} to take it up` : `another attempt of host ${host}, after: ${lastError}`;
  return { for: what, since, until: new Date(Date.parse(since) + prefetchLimitMs).toISOString(), release: 'the host and control, when both are connected; a download of another release takes its place; fairlead update download --cancel ends it' };
}
