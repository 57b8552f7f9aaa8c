import type { HostInspection } from '../../src/domain/host/state.ts';
import type { ProductName } from '../../src/domain/ids.ts';
import type { HostDependencies } from './dependencies.ts';

export function createInspectionActivities({ store, files, releases, router, verifier }: HostDependencies) {
  return {
    /** What the host has of a product now. Changes nothing; may be asked at any time and by anyone. */
    async inspectHost(input: { readonly product: ProductName }): Promise<HostInspection> {
      const { product } = input;
      const state = await store.readState(product);
      const active = state?.activeReleaseId ?? null;
      // A release that cannot be read is a finding of its own; here it only leaves unknown which data it keeps.
      const manifest = active === null ? null : await releases.readManifest(product, active).catch(() => null);
      return {
        product,
        state,
        ...(manifest === null ? {} : { schemaGeneration: manifest.data.schemaGeneration }),
        currentReleaseId: await releases.current(product),
        completeReleaseIds: await releases.listComplete(product),
        intent: await store.readIntent(product),
        freeBytes: await files.freeBytes(product),
        router: router.kind,
        trustedKeyIds: await verifier.trustedKeyIds(),
      };
    },
  };
}
