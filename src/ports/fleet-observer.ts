import type { HostId, ProductName, ReleaseId } from '../domain/ids.ts';
import type { Observation } from './rollout-store.ts';

/** What control saw of a host through its fleet connection. */
export interface FleetObserver {
  /**
   * The first session of the host that began after an instant and told this release of the product; where none did, the last one that told another.
   * Null where the host has not come back since.
   * @param after ISO 8601; null: what the session that is open now told
   */
  observed(host: HostId, product: ProductName, releaseId: ReleaseId, after: string | null): Promise<Observation | null>;
  /** Of these hosts, those that are connected now. */
  connected(hosts: readonly HostId[]): Promise<readonly HostId[]>;
}
