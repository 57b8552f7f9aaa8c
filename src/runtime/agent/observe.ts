import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import { observedRelease } from '../../domain/fleet/observation.ts';
import type { ToldRelease } from '../../domain/fleet/session.ts';
import type { ProductName } from '../../domain/ids.ts';
import type { Sight } from './sight.ts';

/** Looks what the host really runs of a product, for the begin of a session. What cannot be looked at is told as not seen. */
export function createObserve({ store, releases }: HostDependencies, sight: Sight): (product: ProductName) => Promise<ToldRelease> {
  return async (product) => {
    try {
      const state = await store.readState(product);
      const seen = await sight(product, state);
      const manifest = seen.current.releaseId === null ? null : await releases.readManifest(product, seen.current.releaseId).catch(() => null);
      return observedRelease(product, state, seen, manifest);
    } catch {
      return { product, releaseId: null, artifactRole: null, artifactProfile: null };
    }
  };
}
