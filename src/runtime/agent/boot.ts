import { routerStateOf, specOf } from '../../../activities/host/instance-spec.ts';
import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import { settleDirectory } from '../../adapters/files/durable.ts';
import { hostLayout } from '../../domain/host/layout.ts';
import { messagesOf } from '../../domain/failure.ts';
import type { InstanceName, ProductName } from '../../domain/ids.ts';
import type { PollerLogger } from '../../adapters/temporal/activity-poller.ts';

/**
 * Brings up what `state.json` says should run: after a power cut nothing does, after a restart of the agent everything still does and is left
 * alone. Every instance is started on the release that it was last told to run, which during a run may be the new one: the run goes on from there.
 *
 * While a run is under way (its intent lies there) and others of the product still run, a dead instance is the run's business: it may have died of
 * the new release, and starting it again behind the run's back would be a second restart in the same direction.
 */
export async function bringUp(host: HostDependencies, logger: PollerLogger): Promise<void> {
  for (const product of await host.store.products()) {
    try {
      await bringUpProduct(host, product, logger);
    } catch (error) {
      // One broken product must not keep the agent from serving the others, nor from being repaired by a run.
      logger.error({ product, error: messagesOf(error).join(': ') }, 'could not bring a product up');
    }
  }
}

async function bringUpProduct({ root, store, releases, backups, services, router }: HostDependencies, product: ProductName, logger: PollerLogger): Promise<void> {
  const layout = hostLayout(root, product);
  const complete = [
    ...(await releases.listComplete(product)).map((releaseId) => layout.releaseDir(releaseId)),
    ...(await backups.list(product)).map(({ runId }) => layout.backupDir(runId)),
  ];
  for (const directory of [...complete, layout.productDir, layout.releasesDir, layout.configDir, layout.fairleadDir, layout.backupsDir, layout.recoveryDir]) {
    await settleDirectory(directory);
  }
  const state = await store.readState(product);
  const current = await releases.current(product);
  if (state === null || current === null) return;
  const instances = await Promise.all(
    (Object.entries(state.instances) as [InstanceName, (typeof state.instances)[InstanceName]][]).map(async ([name, entry]) => ({ name, entry, status: (await services.status({ product, service: entry.service, instance: name })).status })),
  );
  const dead = instances.filter(({ status }) => status === 'inactive' || status === 'failed');
  const runUnderWay = (await store.readIntent(product)) !== null;
  for (const { name, entry } of runUnderWay && dead.length < instances.length ? [] : dead) {
    const manifest = await releases.readManifest(product, entry.releaseId);
    await services.start(specOf(root, manifest, name, entry.port));
    logger.warn({ product, instance: name, releaseId: entry.releaseId }, 'started an instance that should run and did not');
  }
  const wanted = routerStateOf(root, state, await releases.readManifest(product, current));
  if (wanted) await router.apply(wanted);
}
