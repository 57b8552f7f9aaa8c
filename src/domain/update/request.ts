import type { HostId, ProductName, ReleaseId } from '../ids.ts';
import type { Phase, Role } from '../product/manifest.ts';

/** What somebody asked for: apply this release on this host. */
export interface UpdateRequest {
  readonly host: HostId;
  readonly product: ProductName;
  readonly releaseId: ReleaseId;
  /** Only for a first install: the phase to start in. Default: the manifest's `initialPhase`. */
  readonly phase?: Phase;
  /** The artifact's role. Default: the host's. */
  readonly role?: Role;
  readonly strategy: 'rolling';
  /** Try a release again that failed on this host before. */
  readonly allowFailed?: boolean;
  /** Overrides the manifest's bake time. */
  readonly bakeSeconds?: number;
  /** Key name and role of whoever asked. */
  readonly requestedBy: string;
  /** The Idempotency-Key, or an id made for the request. */
  readonly requestId: string;
}
