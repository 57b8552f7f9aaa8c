import { withExtras } from '../../domain/host/instances.ts';
import type { HostStore } from '../../ports/host-store.ts';
import type { ReleaseStore } from '../../ports/release-store.ts';

/** The releases of a host whose manifests name the instances that were added on it as well, so that whoever starts, proves or recovers instances knows them. */
export function createExtendedReleaseStore(releases: ReleaseStore, store: Pick<HostStore, 'readState'>): ReleaseStore {
  return {
    ...releases,
    readManifest: async (product, releaseId) => withExtras(await releases.readManifest(product, releaseId), (await store.readState(product))?.extras),
  };
}
