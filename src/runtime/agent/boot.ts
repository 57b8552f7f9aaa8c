import { instanceRef, routerStateOf, specOf } from '../../../activities/host/instance-spec.ts';
import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import { settleDirectory } from '../../adapters/files/durable.ts';
import type { PollerLogger } from '../../adapters/temporal/activity-poller.ts';
import { messagesOf } from '../../domain/failure.ts';
import { decideAfterBoot, type BootDecision } from '../../domain/host/after-boot.ts';
import { hostLayout } from '../../domain/host/layout.ts';
import type { HostState } from '../../domain/host/state.ts';
import type { InstanceName, ProductName, ReleaseId } from '../../domain/ids.ts';

/**
 * Brings up what should run: after a power cut nothing does, after a restart of the agent everything still does and is left alone. What is started
 * on which release is decided by `decideAfterBoot`, from what lies on the disk alone. A run that was under way goes on from there.
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

async function bringUpProduct(host: HostDependencies, product: ProductName, logger: PollerLogger): Promise<void> {
  const { root, store, releases, router } = host;
  await settle(host, product);
  const state = await store.readState(product);
  if (state === null) return;
  const complete = await releases.listComplete(product);
  // A link that somebody has broken is no reason to serve nobody.
  const named = await releases.current(product).catch(() => null);
  const decision = decideAfterBoot({
    state,
    intent: await store.readIntent(product),
    current: named !== null && complete.includes(named) ? named : null,
    complete,
    instances: await statusesOf(host, product, state),
  });
  for (const { instance, why } of decision.stuck) logger.error({ product, instance, why }, 'could not start an instance that should run');
  for (const start of decision.starts) {
    try {
      await startOne(host, product, start);
      logger.warn({ product, ...start, situation: decision.situation }, 'started an instance that should run and did not');
    } catch (error) {
      logger.error({ product, ...start, error: messagesOf(error).join(': ') }, 'could not start an instance that should run');
    }
  }
  const now = await store.readState(product);
  if (now === null || decision.routerRelease === null) return;
  const wanted = routerStateOf(root, now, await releases.readManifest(product, decision.routerRelease));
  if (wanted) await router.apply(wanted);
}

/** What was acknowledged before a crash stays: the entries that name it are made durable. */
async function settle({ root, releases, backups }: HostDependencies, product: ProductName): Promise<void> {
  const layout = hostLayout(root, product);
  const complete = [
    ...(await releases.listComplete(product)).map((releaseId) => layout.releaseDir(releaseId)),
    ...(await backups.list(product)).map(({ runId }) => layout.backupDir(runId)),
  ];
  for (const directory of [...complete, layout.productDir, layout.releasesDir, layout.configDir, layout.fairleadDir, layout.backupsDir, layout.recoveryDir]) {
    await settleDirectory(directory);
  }
}

async function statusesOf({ services }: HostDependencies, product: ProductName, state: HostState) {
  const names = Object.keys(state.instances) as InstanceName[];
  const statuses = await Promise.all(names.map(async (name) => [name, await services.status(instanceRef(product, name, state))] as const));
  return Object.fromEntries(statuses) as Parameters<typeof decideAfterBoot>[0]['instances'];
}

/**
 * Starts one instance. The state names another release before the instance is started on it, as in a run: whoever starts it after a crash in
 * between starts the right one. Who started it last, and whether it is in the router, stay what they were: the run reads both when it comes back.
 */
export async function startOne({ root, store, releases, services, now }: HostDependencies, product: ProductName, { instance, releaseId, retold }: BootDecision['starts'][number]): Promise<void> {
  const state = await store.readState(product);
  const entry = state?.instances[instance];
  if (!state || !entry) return;
  if (retold) await retell({ store, now }, state, instance, releaseId);
  await services.start(specOf(root, await releases.readManifest(product, releaseId), instance, entry.port));
}

export async function retell({ store, now }: Pick<HostDependencies, 'store' | 'now'>, state: HostState, instance: InstanceName, releaseId: ReleaseId): Promise<void> {
  const entry = state.instances[instance];
  if (!entry || entry.releaseId === releaseId) return;
  await store.writeState({ ...state, instances: { ...state.instances, [instance]: { ...entry, releaseId } }, updatedAt: now().toISOString() });
}
