import type { Seen } from '../host/drift.ts';
import type { HostState } from '../host/state.ts';
import type { ProductName, ReleaseId } from '../ids.ts';
import type { ProductManifest } from '../product/manifest.ts';
import type { ToldRelease } from './session.ts';

/**
 * The release that a host is seen to run: the one that `current` leads to and that every instance that should run does run. Null where nothing is
 * installed, where instances differ, and where one of them does not run or could not be asked: what was not seen is not told.
 *
 * @param state what the host remembers; which instances should run stands there
 * @param manifest of the release that `current` leads to, for role and profile of its artifact; null where there is none
 */
export function observedRelease(product: ProductName, state: HostState | null, seen: Pick<Seen, 'current' | 'instances'>, manifest: Pick<ProductManifest, 'artifact'> | null): ToldRelease {
  const artifact = { artifactRole: manifest?.artifact.role ?? null, artifactProfile: manifest?.artifact.profile ?? null };
  const { releaseId, complete } = seen.current;
  if (state === null || releaseId === null || !complete) return { product, releaseId: null, ...artifact };
  const running = (Object.keys(state.instances) as (keyof Seen['instances'])[]).map((name): ReleaseId | null => {
    const instance = seen.instances[name];
    return instance?.status === 'active' ? instance.releaseId : null;
  });
  return { product, releaseId: running.every((found) => found === releaseId) ? releaseId : null, ...artifact };
}
