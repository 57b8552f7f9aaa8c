import { emptyState } from '../../src/domain/host/state.ts';
import type { InstanceName } from '../../src/domain/ids.ts';
import type { Phase } from '../../src/domain/product/manifest.ts';
import type { Command, HostDependencies, ReleaseCommand } from './dependencies.ts';
import { declarationOf } from './instance-spec.ts';
import { createServiceTraffic } from './service-traffic.ts';

export interface ConfigureInput extends ReleaseCommand {
  readonly phase: Phase;
  /** Those that the host has after the run. */
  readonly instances: readonly InstanceName[];
}
export interface UnconfigureInput extends Command {
  /** The instances that the host had before the run. */
  readonly keep: readonly InstanceName[];
}

export function createConfigurationActivities(dependencies: HostDependencies) {
  const { ports, routerAddress, store, files, releases, services, router, now } = dependencies;
  const { applyRouter } = createServiceTraffic(dependencies);

  return {
    /**
     * Makes conf files for the instances that have none and settles their ports. What people have written into a conf file stays. A first
     * install gets its state here.
     */
    async configureInstances({ run, releaseId, phase, instances }: ConfigureInput): Promise<{ created: InstanceName[] }> {
      const { product } = run;
      const manifest = await releases.readManifest(product, releaseId);
      const created: InstanceName[] = [];
      for (const name of instances) {
        const { port } = declarationOf(manifest, name);
        const config = await files.readInstanceConfig(product, name);
        if (config?.['PORT']) continue;
        const chosen = ports === 'free' ? await files.freePort() : port;
        await files.writeInstanceConfig(product, name, { ...config, PORT: String(chosen) });
        created.push(name);
      }
      const state = (await store.readState(product)) ?? emptyState(product, now().toISOString());
      const settled = state.activeReleaseId === null ? { ...state, phase } : state;
      const routerPort = manifest.router ? { address: routerAddress, port: ports === 'free' ? await files.freePort() : manifest.router.listen } : null;
      const next = { ...settled, router: settled.router ?? routerPort, manager: services.kind };
      if (next.router !== state.router || next.phase !== state.phase || next.manager !== state.manager) {
        await store.writeState({ ...next, lastRunId: run.runId, updatedAt: now().toISOString() });
      }
      return { created };
    },

    /** Takes away the conf files of instances that the run added. After a failed first install nothing but a condemned release is remembered. */
    async unconfigureInstances({ run, keep }: UnconfigureInput): Promise<void> {
      const { product } = run;
      const state = await store.readState(product);
      const added = (await store.readIntent(product))?.instancesAfter ?? [];
      for (const name of added) if (!keep.includes(name)) await files.removeInstanceConfig(product, name);
      if (state && state.activeReleaseId === null) {
        await router.stop(product, 5);
        await store.removeState(product);
      } else if (state) {
        await applyRouter(state);
      }
    },
  };
}
