import type { HostId, ProductName, ReleaseId } from '../domain/ids.ts';
import type { PrefetchRequest, PrefetchStanding, PrefetchStart } from '../domain/update/prefetch.ts';

/** Brings bundles to hosts ahead of updates, one for each host and product. All methods fail as those of the run starter where the orchestrator is away. */
export interface BundlePrefetcher {
  /**
   * Has the host fetch and verify a bundle. Where it does so for the same bundle already, the request joins; what is under way for another one ends, and this takes its place: the last one asked for counts.
   * Changes nothing that runs on the host.
   */
  startPrefetch(request: PrefetchRequest): Promise<PrefetchStart>;
  /**
   * Asks the one that is under way to end. What has come so far stays on the host, and is gone on with where it is asked for again.
   * @returns whose bundle it is; null where none is under way
   */
  cancelPrefetch(host: HostId, product: ProductName): Promise<ReleaseId | null>;
  /** The one that was asked for last; null where there was none, or where it ended so long ago that nothing is kept of it. */
  findPrefetch(host: HostId, product: ProductName): Promise<PrefetchStanding | null>;
}
